"""Access checks: may this call pass? Answered alike by the web process and by the edge.

The answers are bare and always 200, also when they deny: gateways take anything else for "yes".
Whoever answers brings its own way to look customers up; nothing here knows PostgreSQL.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs

import msgspec

from aforo.errors import (
    PROBLEM,
    AforoError,
    Forbidden,
    NotFound,
    Refused,
    Unauthenticated,
    headers_of,
    problem_of,
)
from metering.api import access_shapes as shapes
from metering.api.access_verdicts import (
    age,
    age_headers,
    judge_feature,
    judge_quota,
    note,
    note_level,
    note_refused,
)
from metering.entitlements import answers
from metering.entitlements.decisions import Verdict
from metering.entitlements.reading import Seen

QUICK_CHECK = "/internal/v1/margin-guard/quick-check"
Told = tuple[bytes, dict[str, str]]  # a body and the headers of its answer


class Looking(Protocol):
    """How a process finds what is known of customers. Raises AforoError for whom it does not."""

    def by_key(self, token: str, names: Sequence[str], *, tenant_header: str | None) -> Seen: ...

    def by_tenant(self, name: str, names: Sequence[str]) -> Seen: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, from wherever it came."""

    looking: Looking
    request_id: str
    authorization: str
    own_key: str
    tenant_header: str
    query: str
    body: Callable[[], bytes]
    is_internal: Callable[[], bool]


_encode = msgspec.json.Encoder(decimal_format="number").encode
Answering = Callable[[Ask], Told]


def _can_access(ask: Ask) -> Told:
    check = shapes.read(shapes.feature_check, ask.body())
    (name,) = shapes.names([check.customerId or check.tenantId])
    seen = _look(ask, [name])
    verdict, members = _feature_answer(ask, seen, name, check)
    return _encode(members), verdict.headers(seen.at) | age_headers(seen)


def _can_access_all(ask: Ask) -> Told:
    asked = shapes.read(shapes.feature_checks, ask.body())
    checks = shapes.checks(asked.checks)
    for_all = asked.customerId or asked.tenantId
    names = shapes.names([check.customerId or check.tenantId or for_all for check in checks])
    seen = _look(ask, list(dict.fromkeys(names)))
    results = [
        _feature_answer(ask, seen, name, check)[1]
        for name, check in zip(names, checks, strict=True)
    ]
    return _encode({"results": results}), age_headers(seen)


def _check_quota(ask: Ask) -> Told:
    check = shapes.read(shapes.quota_check, ask.body())
    (name,) = shapes.names([check.customerId])
    seen = _look(ask, [name])
    return _encode(_quota_answer(ask, seen, name, check)), age_headers(seen)


def _check_quotas(ask: Ask) -> Told:
    asked = shapes.read(shapes.quota_checks, ask.body())
    checks = shapes.checks(asked.checks)
    names = shapes.names([check.customerId or asked.customerId for check in checks])
    seen = _look(ask, list(dict.fromkeys(names)))
    results = [
        _quota_answer(ask, seen, name, check) for name, check in zip(names, checks, strict=True)
    ]
    return _encode({"results": results}), age_headers(seen)


def _quick_check(ask: Ask) -> Told:
    given = {name: values[-1] for name, values in parse_qs(ask.query).items()}
    check = shapes.MarginCheck(
        given.get("scopeId"), given.get("scopeType", "CUSTOMER"), given.get("metricName")
    )
    seen, (answer,) = _margins(ask, given.get("tenantId"), [check])
    return _encode(answer), age_headers(seen)


def _quick_checks(ask: Ask) -> Told:
    if not ask.is_internal():
        raise NotFound(f"there is nothing at {QUICK_CHECK}/batch")
    asked = shapes.read(shapes.margin_checks, ask.body())
    seen, results = _margins(ask, asked.tenantId, shapes.checks(asked.checks))
    return _encode({"results": results}), age_headers(seen)


def _margins(
    ask: Ask, tenant: str | None, checks: Sequence[shapes.MarginCheck]
) -> tuple[Seen, list[dict[str, object]]]:
    """What margin guards say of customers of one tenant, for who came by the internal listener."""
    if not ask.is_internal():
        raise NotFound(f"there is nothing at {QUICK_CHECK}")
    tenant = tenant or ask.tenant_header
    names = [check.scopeId for check in checks if check.scopeId]
    if not tenant or len(names) < len(checks):
        raise Refused("name a tenant by tenantId and a customer by scopeId")
    if any(check.scopeType != "CUSTOMER" for check in checks):
        raise Refused.naming("scopeType", "INVALID", "only CUSTOMER is known")
    seen = ask.looking.by_tenant(tenant, list(dict.fromkeys(names)))
    return seen, [_margin_answer(ask, seen, check) for check in checks]


def _margin_answer(ask: Ask, seen: Seen, check: shapes.MarginCheck) -> dict[str, object]:
    held = seen.held.get(check.scopeId or "")
    margin = held.margin_of(check.metricName) if held else None
    note_level(seen, margin, check.metricName, request_id=ask.request_id)
    return (answers.margin(margin) if margin else answers.blind_margin(seen.fallback)) | age(seen)


def _feature_answer(
    ask: Ask, seen: Seen, name: str, check: shapes.FeatureCheck
) -> tuple[Verdict, dict[str, object]]:
    key = check.featureKey
    if not key:
        raise Refused.naming("featureKey", "REQUIRED", "say which feature is asked for")
    quantity = shapes.quantity("quantity", check.quantity, absent=0)
    verdict = judge_feature(seen, name, key, quantity)
    note("canAccess", seen, verdict, request_id=ask.request_id, feature=key)
    return verdict, answers.feature(verdict, key, seen) | age(seen)


def _quota_answer(ask: Ask, seen: Seen, name: str, check: shapes.QuotaCheck) -> dict[str, object]:
    quantity = shapes.quantity("estimatedQuantity", check.estimatedQuantity, absent=1)
    verdict = judge_quota(seen, name, check.metricName or None, quantity)
    note("quota", seen, verdict, request_id=ask.request_id, metric=check.metricName)
    return answers.quota(verdict, seen) | age(seen)


def _look(ask: Ask, names: Sequence[str]) -> Seen:
    """By the key that is brought; by the tenant's name alone, only where the public cannot ask.

    Raises Forbidden where a key of one customer asks about others.
    """
    token = token_in(ask.authorization, ask.own_key)
    if token is None and ask.tenant_header and ask.is_internal():
        return ask.looking.by_tenant(ask.tenant_header.strip(), names)
    if not token:
        raise Unauthenticated("send the API key as `Authorization: Bearer <key>`")
    seen = ask.looking.by_key(token, names, tenant_header=ask.tenant_header or None)
    if not all(_is_own(seen, name) for name in names):
        raise Forbidden("this key was given out for one customer, and asks about another")
    return seen


def _is_own(seen: Seen, name: str) -> bool:
    """Whether a key may ask about whoever has this name; nobody at all is nobody of its own."""
    own, held = seen.asking.customer, seen.held.get(name)
    if not own or name == own or held is None:
        return True
    return held.standing is not None and held.standing.external_id == own


def token_in(authorization: str, own_key: str) -> str | None:
    """The key that a request brings; empty for an `Authorization` of another kind, None: none."""
    if not authorization:
        return own_key.strip() or None
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


ROUTES: dict[str, tuple[str, Answering]] = {
    "/v1/canAccess": ("POST", _can_access),
    "/v1/canAccess/batch": ("POST", _can_access_all),
    "/api/v1/quota/check": ("POST", _check_quota),
    "/api/v1/quota/check/batch": ("POST", _check_quotas),
    QUICK_CHECK: ("GET", _quick_check),
    f"{QUICK_CHECK}/batch": ("POST", _quick_checks),
}


def answered(route: str, answering: Answering, ask: Ask) -> tuple[int, str, bytes, dict[str, str]]:
    """Status, content type, body and headers."""
    try:
        body, headers = answering(ask)
    except AforoError as error:
        note_refused(route, error, request_id=ask.request_id)
        members = problem_of(error, instance=ask.request_id)
        return error.status, PROBLEM, msgspec.json.encode(members), headers_of(error)
    return HTTPStatus.OK, "application/json", body, headers
