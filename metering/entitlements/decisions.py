"""Whether a call may pass: decided from what Redis holds of a customer, without asking anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

import msgspec

from aforo.money import EXACT, ZERO, plain
from metering.entitlements import standing
from metering.entitlements.standing import (
    Granted,
    Quota,
    Span,
    Standing,
    use_field,
    use_in,
)
from metering.entitlements.state import MARGIN, STANDING, MarginState

NO_MARGIN = MarginState()
LEVELS = ("NONE", "L1_ALERT", "L2_THROTTLE", "L3_BLOCK")
UNLIMITED = Decimal("Infinity")
LONGEST_RETRY_SECONDS = 3600  # a quota may be raised before it is reset: ask again by then
WARN_AT = (Decimal(5), Decimal(4))  # of a quota: used x 5 >= limit x 4, which is 80 %
_margin_decoder = msgspec.json.Decoder(MarginState)


class Reason(StrEnum):
    OK = "OK"
    CUSTOMER_UNKNOWN = "CUSTOMER_UNKNOWN"
    SUBSCRIPTION_INACTIVE = "SUBSCRIPTION_INACTIVE"
    FEATURE_NOT_IN_PLAN = "FEATURE_NOT_IN_PLAN"
    MARGIN_BLOCKED = "MARGIN_BLOCKED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"  # nothing can be known: the tenant's fallback decides


@dataclass(frozen=True)
class Held:
    """What Redis holds of one customer, read on demand. An unreadable standing is none."""

    fields: Mapping[bytes, bytes]

    @cached_property
    def standing(self) -> Standing | None:
        value = self.fields.get(STANDING.encode())
        try:
            return standing.decode(value.partition(b" ")[2]) if value else None
        except msgspec.MsgspecError:
            return None

    @property
    def is_unreadable(self) -> bool:
        """Whether there is a standing, as another release writes it."""
        return self.standing is None and STANDING.encode() in self.fields

    @cached_property
    def margin(self) -> MarginState:
        value = self.fields.get(MARGIN.encode())
        try:
            return _margin_decoder.decode(value.partition(b" ")[2]) if value else NO_MARGIN
        except msgspec.MsgspecError:
            return NO_MARGIN

    def margin_of(self, metric: str | None) -> MarginState:
        """What holds for calls of one metric: what is said of it, else of the customer.

        Of calls without a metric nobody knows which they are of: the strictest of all holds.
        """
        whole = self.margin
        if metric:
            return whole.by_metric.get(metric, whole)
        return min([whole, *whole.by_metric.values()], key=severity) if whole.by_metric else whole


def severity(margin: MarginState) -> tuple[int, int, Decimal]:
    """How strict a guard is: the lower, the less passes."""
    rate = margin.requests_per_second
    return -LEVELS.index(margin.level), margin.throttle_rate, UNLIMITED if rate is None else rate


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision, and what it was made of. `limit` None is unlimited.

    `used` None is not known here: of what nobody limits no use is kept.
    """

    reason: Reason
    plan: str | None = None
    used: Decimal | None = None
    limit: Decimal | None = None
    is_near: bool = False
    reset_at: float | None = None
    margin: MarginState = NO_MARGIN
    granted: Granted | None = None
    span: Span | None = None
    is_allowed_blind: bool = False

    @property
    def allowed(self) -> bool:
        return self.reason is Reason.OK or self.is_allowed_blind

    @property
    def remaining(self) -> Decimal | None:
        if self.limit is None:
            return None
        return max(EXACT.subtract(self.limit, self.used or ZERO), ZERO)

    def retry_seconds(self, now: float) -> int:
        """After how long asking again may help; zero when it was allowed."""
        if self.reason is Reason.MARGIN_BLOCKED:
            return self.margin.retry_after_seconds
        if self.reason is Reason.QUOTA_EXCEEDED and self.reset_at is not None:
            return min(int(self.reset_at - now) + 1, LONGEST_RETRY_SECONDS)
        return 0 if self.allowed else 60

    def headers(self, now: float) -> dict[str, str]:
        """What a gateway passes on to whoever called."""
        said = dict(_MARGIN_HEADERS.get(self.margin.level, {}))
        if self.margin.requests_per_second is not None:
            said["X-Aforo-Throttle-Rate"] = plain(self.margin.requests_per_second)
        if self.allowed and self.is_near:
            said["X-RateLimit-Warning"] = "approaching-limit"
        if self.reason in {Reason.QUOTA_EXCEEDED, Reason.MARGIN_BLOCKED}:
            said["Retry-After"] = str(self.retry_seconds(now))
        return said


_MARGIN_HEADERS: Mapping[str, Mapping[str, str]] = {
    "L1_ALERT": {"X-Margin-Guard-Warning": "margin-low"},
    "L2_THROTTLE": {
        "X-Aforo-Throttle": "true",
        "X-Margin-Guard": "throttled",
        "X-Margin-Guard-Level": "L2",
    },
    "L3_BLOCK": {"X-Margin-Guard": "blocked", "X-Margin-Guard-Level": "L3"},
}


def blind(fallback: str) -> Verdict:
    """What is said while nothing can be known of the customer: as the tenant has configured."""
    return Verdict(Reason.UNAVAILABLE, is_allowed_blind=fallback != "CLOSED")


def feature_access(held: Held, key: str, *, at: float, quantity: Decimal = ZERO) -> Verdict:
    """Whether a customer may use a feature; a billable unit's name stands for its quota.

    A quota that is used up denies; with `quantity`, one that would not hold so much more.
    """
    spans, denied = _spans(held, at)
    if denied is not None:
        return denied
    for span in spans:
        grant = span.granted(key, at)
        if grant is not None:
            return _granted(held, span, grant, quantity=quantity)
        if key in span.units and span.said(key, at) is None:
            verdict = _limited(held, span, key, _limits_of(span, key, at), quantity=quantity)
            return _under(held.margin_of(key), verdict)
    first = spans[0]
    return Verdict(Reason.FEATURE_NOT_IN_PLAN, first.plan, span=first, margin=held.margin)


def quota_check(held: Held, metric: str | None, *, at: float, quantity: Decimal) -> Verdict:
    """Whether so much more of a metric may be used; without one, of anything that is limited.

    Of several units that count a metric, the one that denies decides, else the nearest to its end.
    """
    spans, denied = _spans(held, at)
    if denied is not None:
        return denied
    margin = held.margin_of(metric)
    verdicts = [
        _limited(held, span, name, _limits_of(span, name, at), quantity=quantity)
        for span in spans
        for name, quota in span.units.items()
        if metric is None or metric in {name, quota.metric}
    ]
    chosen = max(verdicts, key=_strictness, default=None)
    if chosen is None:
        chosen = Verdict(Reason.OK, spans[0].plan, span=spans[0])
    return _under(margin, chosen)


def _strictness(verdict: Verdict) -> tuple[bool, bool, bool, Decimal]:
    left = verdict.remaining
    return (
        verdict.reason is not Reason.OK,
        verdict.is_near,
        left is not None,
        ZERO if left is None else -left,
    )


def _spans(held: Held, at: float) -> tuple[list[Span], Verdict | None]:
    if held.standing is None:
        return [], Verdict(Reason.CUSTOMER_UNKNOWN)
    spans = held.standing.spans_at(at)
    return spans, None if spans else Verdict(Reason.SUBSCRIPTION_INACTIVE, margin=held.margin)


def _granted(held: Held, span: Span, grant: Granted, *, quantity: Decimal) -> Verdict:
    if grant.unit is None:
        return _under(held.margin, Verdict(Reason.OK, span.plan, granted=grant, span=span))
    verdict = _limited(held, span, grant.unit, [grant], quantity=quantity)
    return _under(held.margin_of(grant.unit), verdict)


def _limited(
    held: Held, span: Span, unit: str, grants: Sequence[Granted], *, quantity: Decimal
) -> Verdict:
    """How a unit's use stands to the least of its limits: those granted, and the plan's cap."""
    quota = span.units.get(unit)
    used, rolled = _use(held, span, quota)
    limits = [grant.limit for grant in grants if grant.limit is not None]
    if quota is not None and quota.cap is not None:
        limits.append(EXACT.add(quota.cap, EXACT.multiply(rolled, quota.per_rolled)))
    limit = min(limits, default=None)
    after = EXACT.add(used, quantity)
    is_over = limit is not None and (after > limit or used >= limit)
    near, of_limit = WARN_AT
    is_near = limit is not None and EXACT.multiply(after, near) >= EXACT.multiply(limit, of_limit)
    return Verdict(
        Reason.QUOTA_EXCEEDED if is_over else Reason.OK,
        span.plan,
        used if limit is not None or (quota and quota.is_limited) else None,
        limit,
        is_near,
        span.end,
        granted=grants[0] if grants else Granted("LIMIT", unit=unit),
        span=span,
    )


def _limits_of(span: Span, unit: str, at: float) -> list[Granted]:
    """The LIMIT features of a unit that are switched on; when all are off, one that lets none."""
    said = (span.said(key, at) for key in span.features)
    found = [one for one in said if one is not None and one.unit == unit]
    on = [one for one in found if one.is_enabled]
    return [Granted("LIMIT", limit=ZERO, unit=unit)] if found and not on else on


def _use(held: Held, span: Span, quota: Quota | None) -> tuple[Decimal, Decimal]:
    """What was used in the period, and rolled over into it."""
    field = use_field(span.period, quota.unit) if quota else ""
    value = held.fields.get(field.encode())
    if value is None:
        return ZERO, ZERO
    used = use_in(value.partition(b" ")[2])
    return used.quantity, used.rollover


def _under(margin: MarginState, verdict: Verdict) -> Verdict:
    """The same verdict with what margin guards say; a block comes before a quota."""
    reason = Reason.MARGIN_BLOCKED if margin.level == "L3_BLOCK" else verdict.reason
    return replace(verdict, reason=reason, margin=margin)
