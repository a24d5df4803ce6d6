"""`ext_authz`: a gateway sends what it was asked, and passes it on when the answer is 200.

What a call is about stands in headers that the gateway sets, or is the same for all of them. The
bodies of refusals are for whoever called the gateway: they say nothing of margins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import msgspec

from aforo.edge.looking import Caller, EdgeLooking
from aforo.edge.options import Options
from aforo.edge.throttling import Throttle
from aforo.errors import Unauthenticated
from catalog import aliases
from metering.api.access import token_in
from metering.api.access_verdicts import (
    age_headers,
    judge_feature,
    judge_quota,
    note,
    note_throttled,
)
from metering.entitlements import answers
from metering.entitlements.decisions import Reason, Verdict, severity
from metering.entitlements.reading import Asking, Seen
from metering.entitlements.state import MarginState

ROUTE = "ext_authz"
THROTTLED_SECONDS = 60
_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "ocp-apim-subscription-key"})
_REFUSALS: dict[Reason, tuple[int, str, str]] = {
    Reason.MARGIN_BLOCKED: (429, "SERVICE_RESTRICTED_MARGIN", "Margin Limit Exceeded"),
    Reason.QUOTA_EXCEEDED: (429, "QUOTA_EXCEEDED", "Quota exceeded"),
    Reason.FEATURE_NOT_IN_PLAN: (403, "FEATURE_NOT_IN_PLAN", "The plan does not have this"),
    Reason.SUBSCRIPTION_INACTIVE: (403, "SUBSCRIPTION_INACTIVE", "No subscription runs"),
    Reason.CUSTOMER_UNKNOWN: (403, "CUSTOMER_UNKNOWN", "There is no such customer"),
    # Not a 5xx, which gateways take for a failure of ours, and may let pass.
    Reason.UNAVAILABLE: (403, "UNAVAILABLE", "Access cannot be checked at the moment"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """What a gateway was asked: its headers, by name."""

    header: Callable[[str], str]
    request_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""


class Authorizer:
    def __init__(self, options: Options, looking: EdgeLooking, throttle: Throttle) -> None:
        self._options = options
        self._looking = looking
        self._throttle = throttle

    def answer(self, call: Call) -> Answer:
        """Whether this call may pass. Raises AforoError for callers without a key that opens."""
        caller = self._caller(call)
        customer = self._named(call, caller.asking)
        seen = self._looking.seen(caller, [customer])
        options = self._options
        feature = _about(call, options.feature_header, "X-Aforo-Feature", options.feature)
        metric = _about(call, options.metric_header, "X-Aforo-Metric", options.metric)
        verdict = _verdict(seen, customer, feature, metric)
        note(
            ROUTE, seen, verdict, request_id=call.request_id, feature=feature, metric=metric or None
        )
        if not verdict.allowed:
            return self._refused(verdict, seen)
        if not self._throttle.lets_pass(_counted(seen, customer, verdict.margin), verdict.margin):
            note_throttled(ROUTE, seen, request_id=call.request_id)
            return self._throttled(seen)
        said = verdict.headers(seen.at) | age_headers(seen)
        if verdict.reason is Reason.UNAVAILABLE:
            said["X-Aforo-Fallback"] = seen.fallback
        return Answer(HTTPStatus.OK, said)

    def _caller(self, call: Call) -> Caller:
        """The tenant that this edge serves, if it serves one; else that of the key."""
        if self._options.tenant:
            return self._looking.named(self._options.tenant)
        token = token_in(call.header("Authorization"), call.header("X-Aforo-Key"))
        if not token:
            raise Unauthenticated("bring an API key as `Authorization: Bearer <key>`")
        header = call.header("X-Tenant-Id") or None
        return self._looking.whose(
            token, lambda asking: [self._named(call, asking)], tenant_header=header
        )

    def _named(self, call: Call, asking: Asking) -> str:
        """Who calls, where the key does not say it: a customer's own key always does.

        Where callers bring a credential, they are found by aliases that are one, and by nothing
        that is no secret.
        """
        if asking.customer:
            return asking.customer
        name = self._options.customer_header
        value = call.header(name).strip()
        scheme, _, token = value.partition(" ")
        value = token.strip() if scheme.lower() == "bearer" else value
        if not value:
            raise Unauthenticated(f"{asking.slug}: say who calls by {name}")
        if name.lower() not in _CREDENTIALS:
            return value
        digest = aliases.digest_under(self._options.alias_key, asking.tenant_id, value)
        return aliases.stand_in(aliases.credential_of(digest))

    def _refused(self, verdict: Verdict, seen: Seen) -> Answer:
        status, code, message = _REFUSALS[verdict.reason]
        headers = verdict.headers(seen.at) | age_headers(seen)
        more: dict[str, object] = {}
        if verdict.reason is Reason.QUOTA_EXCEEDED:
            told = answers.quota(verdict, seen)
            more = {name: told[name] for name in ("limit", "currentUsage", "resetsAt")}
        retry = verdict.retry_seconds(seen.at)
        return Answer(status, headers, self._body(code, message, retry, **more))

    def _throttled(self, seen: Seen) -> Answer:
        headers = {
            "X-Margin-Guard": "throttled",
            "X-Margin-Guard-Level": "L2",
            "Retry-After": str(THROTTLED_SECONDS),
        }
        message = "Too many requests at the moment"
        body = self._body("RATE_LIMITED_MARGIN", message, THROTTLED_SECONDS)
        return Answer(HTTPStatus.TOO_MANY_REQUESTS, headers | age_headers(seen), body)

    def _body(self, code: str, message: str, retry_after: int, **more: Any) -> bytes:
        told = {
            "code": code,
            "message": message,
            "retryAfterSeconds": retry_after,
            "supportUrl": self._options.support_url,
        }
        return _encode({"error": told | more})


_encode = msgspec.json.Encoder(decimal_format="number").encode


def _verdict(seen: Seen, customer: str, feature: str, metric: str) -> Verdict:
    """A feature and a metric must both be allowed; without either, whatever is limited."""
    verdicts = []
    if feature:
        verdicts.append(judge_feature(seen, customer, feature, Decimal(0)))
    if metric or not feature:
        verdicts.append(judge_quota(seen, customer, metric or None, Decimal(1)))
    return min(verdicts, key=_weight)


def _weight(verdict: Verdict) -> tuple[bool, tuple[int, int, Decimal], bool]:
    """The one that denies, else the one under the strictest guard, else what is nearly used up."""
    return verdict.allowed, severity(verdict.margin), not verdict.is_near


def _about(call: Call, header: str, by_default: str, constant: str) -> str:
    """What a call is about: as a constant says, unless the gateway was told to name a header."""
    if constant and not header:
        return constant
    return call.header(header or by_default) or constant


def _counted(seen: Seen, customer: str, margin: MarginState) -> tuple[object, ...]:
    """Under what a throttled call is counted: whoever it is, by whatever name, and the guard.

    The names of one metric are told the same, and are one guard by the first of them.
    """
    held = seen.held.get(customer)
    if held is None or held.standing is None:
        return (seen.asking.tenant_id, customer)
    of = next((name for name, one in held.margin.by_metric.items() if one == margin), "")
    return (seen.asking.tenant_id, held.standing.external_id, of)
