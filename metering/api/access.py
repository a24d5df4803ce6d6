"""Access checks: may this call pass? Answered from Redis, whichever door the request came by.

The answers are bare and always 200, also when they deny: gateways take anything else for "yes".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import msgspec
import structlog
from prometheus_client import Counter

from aforo.api.problems import CONTENT_TYPE as PROBLEM
from aforo.api.problems import problem_members
from aforo.errors import AforoError, NotFound, Refused, Unauthenticated, Unreadable
from metering.entitlements import answers, looking
from metering.entitlements.decisions import Verdict, blind, feature_access, quota_check
from metering.entitlements.reading import Seen
from metering.ingest.gates import QUANTITY_DIGITS, QUANTITY_PLACES

MOST_CHECKS = 100
_COUNTED = Counter(
    "aforo_access_answers", "Answers to access checks by route and reason.", ["route", "reason"]
)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, from wherever it came."""

    authorization: str
    own_key: str
    tenant_header: str
    query: str
    body: Callable[[], bytes]
    is_internal: Callable[[], bool]


class FeatureCheck(msgspec.Struct):
    """`tenantId` names the customer here, as in the first public examples."""

    customerId: str | None = None  # noqa: N815 - the wire's spelling, here and below
    tenantId: str | None = None  # noqa: N815
    featureKey: str | None = None  # noqa: N815
    quantity: Decimal | None = None


class QuotaCheck(msgspec.Struct):
    customerId: str | None = None  # noqa: N815
    metricName: str | None = None  # noqa: N815
    estimatedQuantity: Decimal | None = None  # noqa: N815


class FeatureChecks(msgspec.Struct):
    checks: list[FeatureCheck]
    customerId: str | None = None  # noqa: N815
    tenantId: str | None = None  # noqa: N815


class QuotaChecks(msgspec.Struct):
    checks: list[QuotaCheck]
    customerId: str | None = None  # noqa: N815


_feature_check = msgspec.json.Decoder(FeatureCheck)
_feature_checks = msgspec.json.Decoder(FeatureChecks)
_quota_check = msgspec.json.Decoder(QuotaCheck)
_quota_checks = msgspec.json.Decoder(QuotaChecks)
_encode = msgspec.json.Encoder(decimal_format="number").encode


def _can_access(ask: Ask) -> tuple[bytes, dict[str, str]]:
    check = _read(_feature_check, ask)
    (name,) = _names([check.customerId or check.tenantId])
    seen = _look(ask, [name])
    verdict, members = _feature_answer(seen, name, check)
    return _encode(members), verdict.headers(seen.at)


def _can_access_all(ask: Ask) -> tuple[bytes, dict[str, str]]:
    asked = _read(_feature_checks, ask)
    checks = _checks(asked.checks)
    for_all = asked.customerId or asked.tenantId
    names = _names([check.customerId or check.tenantId or for_all for check in checks])
    seen = _look(ask, list(dict.fromkeys(names)))
    results = [
        _feature_answer(seen, name, check)[1] for name, check in zip(names, checks, strict=True)
    ]
    return _encode({"results": results}), {}


def _check_quota(ask: Ask) -> tuple[bytes, dict[str, str]]:
    check = _read(_quota_check, ask)
    (name,) = _names([check.customerId])
    seen = _look(ask, [name])
    return _encode(_quota_answer(seen, name, check)), {}


def _check_quotas(ask: Ask) -> tuple[bytes, dict[str, str]]:
    asked = _read(_quota_checks, ask)
    checks = _checks(asked.checks)
    names = _names([check.customerId or asked.customerId for check in checks])
    seen = _look(ask, list(dict.fromkeys(names)))
    results = [_quota_answer(seen, name, check) for name, check in zip(names, checks, strict=True)]
    return _encode({"results": results}), {}


def _quick_check(ask: Ask) -> tuple[bytes, dict[str, str]]:
    if not ask.is_internal():
        raise NotFound("there is nothing at /internal/v1/margin-guard/quick-check")
    given = {name: values[-1] for name, values in parse_qs(ask.query).items()}
    tenant, name = given.get("tenantId") or ask.tenant_header, given.get("scopeId")
    if not tenant or not name:
        raise Refused("name a tenant by tenantId and a customer by scopeId")
    if given.get("scopeType", "CUSTOMER") != "CUSTOMER":
        raise Refused.naming("scopeType", "INVALID", "only CUSTOMER is known")
    seen = looking.by_tenant(tenant, [name])
    held = seen.held.get(name)
    if held is None:
        _COUNTED.labels("quick-check", "UNAVAILABLE").inc()
        return _encode(answers.blind_margin(seen.fallback)), {}
    margin = held.margin_of(given.get("metricName"))
    _COUNTED.labels("quick-check", margin.level).inc()
    if margin.level not in {"NONE", "L1_ALERT"}:
        log.info("margin_guard_answered", tenant=seen.asking.slug, level=margin.level)
    return _encode(answers.margin(margin)), {}


def _feature_answer(
    seen: Seen, name: str, check: FeatureCheck
) -> tuple[Verdict, dict[str, object]]:
    key = check.featureKey
    if not key:
        raise Refused.naming("featureKey", "REQUIRED", "say which feature is asked for")
    quantity = _quantity("quantity", check.quantity, absent=0)
    held = seen.held.get(name)
    verdict = (
        blind(seen.fallback)
        if held is None
        else feature_access(held, key, at=seen.at, quantity=quantity)
    )
    _note("canAccess", seen, verdict, feature=key)
    return verdict, answers.feature(verdict, key, seen)


def _quota_answer(seen: Seen, name: str, check: QuotaCheck) -> dict[str, object]:
    quantity = _quantity("estimatedQuantity", check.estimatedQuantity, absent=1)
    held = seen.held.get(name)
    verdict = (
        blind(seen.fallback)
        if held is None
        else quota_check(held, check.metricName or None, at=seen.at, quantity=quantity)
    )
    _note("quota", seen, verdict, metric=check.metricName)
    return answers.quota(verdict, seen)


def _note(route: str, seen: Seen, verdict: Verdict, **asked: str | None) -> None:
    """Plain answers are counted, others told with their reason. Names may be secrets: not told."""
    _COUNTED.labels(route, verdict.reason.value).inc()
    if verdict.reason.value != "OK" or verdict.margin.level != "NONE":
        log.info(
            "access_answered",
            route=route,
            tenant=seen.asking.slug,
            allowed=verdict.allowed,
            reason=verdict.reason.value,
            margin=verdict.margin.level,
            key=str(seen.asking.key_id or ""),
            **asked,
        )


def _look(ask: Ask, names: Sequence[str]) -> Seen:
    """By the key that is brought; by the tenant's name alone, only where the public cannot ask."""
    scheme, _, token = ask.authorization.partition(" ")
    if ask.own_key.strip() and not scheme:
        scheme, token = "bearer", ask.own_key
    if not scheme and ask.tenant_header and ask.is_internal():
        return looking.by_tenant(ask.tenant_header.strip(), names)
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send the API key as `Authorization: Bearer <key>`")
    return looking.by_key(token.strip(), names, tenant_header=ask.tenant_header or None)


def _read(decoder: msgspec.json.Decoder[Any], ask: Ask) -> Any:
    body = ask.body()
    if not body:
        raise Unreadable("the body is empty")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(f"the body is not what is asked for: {error}") from None
    except (msgspec.DecodeError, ValueError, ArithmeticError):
        raise Unreadable("the body is no JSON") from None


def _names(names: Iterable[str | None]) -> list[str]:
    given = [name for name in names if name]
    if len(given) != len(list(names)):
        raise Refused.naming("customerId", "REQUIRED", "say whose access is asked for")
    return given


def _quantity(field: str, value: Decimal | None, *, absent: int) -> Decimal:
    """As large and as fine as a quantity of usage may be."""
    if value is None:
        return Decimal(absent)
    if value.is_finite() and value.adjusted() < QUANTITY_DIGITS and value >= 0:
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent >= -QUANTITY_PLACES:
            return value
    reason = f"not negative, {QUANTITY_DIGITS} digits before and {QUANTITY_PLACES} after the point"
    raise Refused.naming(field, "INVALID", reason)


def _checks(checks: list[Any]) -> list[Any]:
    if not 1 <= len(checks) <= MOST_CHECKS:
        raise Refused.naming("checks", "INVALID", f"1 to {MOST_CHECKS} in one call")
    return checks


Answering = Callable[[Ask], tuple[bytes, dict[str, str]]]
ROUTES: dict[str, tuple[str, Answering]] = {
    "/v1/canAccess": ("POST", _can_access),
    "/v1/canAccess/batch": ("POST", _can_access_all),
    "/api/v1/quota/check": ("POST", _check_quota),
    "/api/v1/quota/check/batch": ("POST", _check_quotas),
    "/internal/v1/margin-guard/quick-check": ("GET", _quick_check),
}


def answered(answering: Answering, ask: Ask) -> tuple[int, str, bytes, dict[str, str]]:
    """Status, content type, body and headers."""
    try:
        body, headers = answering(ask)
    except AforoError as error:
        members = problem_members(error)
        return error.status, PROBLEM, msgspec.json.encode(members), {}
    return HTTPStatus.OK, "application/json", body, headers
