"""Decisions as clients read them: bare members, numbers as numbers, times in UTC."""

from datetime import UTC, datetime
from decimal import Decimal

from aforo.money import EXACT
from metering.entitlements.decisions import Verdict
from metering.entitlements.reading import Seen
from metering.entitlements.standing import Granted
from metering.entitlements.state import MarginState


def feature(verdict: Verdict, key: str, seen: Seen) -> dict[str, object]:
    """What canAccess answers; a quota of None is unlimited."""
    remaining = shown(verdict.remaining)
    granted = verdict.granted
    return {
        "allowed": verdict.allowed,
        "reason": verdict.reason.value,
        "plan": verdict.plan,
        "feature": key,
        "value": granted.value if granted and granted.kind == "VALUE" else None,
        "quota": shown(verdict.limit),
        "remaining": remaining,
        "remaining_quota": remaining,
        "quota_reset": _moment(verdict.reset_at),
        "margin": {"level": verdict.margin.level, "percent": shown(verdict.margin.percent)},
        "headers": verdict.headers(seen.at),
        "entitlements": _entitlements(verdict, seen.at),
        "fallback": _fallback(verdict, seen),
    }


def quota(verdict: Verdict, seen: Seen) -> dict[str, object]:
    """What a quota check answers."""
    allowed = "WARN" if verdict.is_near else "ALLOW"
    retry = verdict.retry_seconds(seen.at) * 1000
    return {
        "decision": allowed if verdict.allowed else "DENY",
        "reason": verdict.reason.value,
        "currentUsage": shown(verdict.used),
        "limit": shown(verdict.limit),
        "retryAfterMs": None if verdict.allowed else retry,
        "resetsAt": _moment(verdict.reset_at),
        "tierName": verdict.plan,
        "headers": verdict.headers(seen.at),
        "fallback": _fallback(verdict, seen),
    }


def margin(state: MarginState) -> dict[str, object]:
    """What the quick check of margin guards answers."""
    return {
        "allowed": state.level != "L3_BLOCK",
        "level": state.level,
        "throttleRate": state.throttle_rate,
        "requestsPerSecond": shown(state.requests_per_second),
        "retryAfterSeconds": state.retry_after_seconds,
        "message": state.message,
        "fallback": None,
    }


def blind_margin(fallback: str) -> dict[str, object]:
    """The same while nothing can be known of the customer."""
    is_closed = fallback == "CLOSED"
    state = MarginState(
        "L3_BLOCK" if is_closed else "NONE",
        retry_after_seconds=60,
        message="margins cannot be read at the moment",
    )
    return margin(state) | {"fallback": fallback}


def _entitlements(verdict: Verdict, at: float) -> dict[str, object]:
    """Every feature of the subscription: true, its limit (null: unlimited), or its value."""
    span = verdict.span
    if span is None:
        return {}
    found = {key: span.granted(key, at) for key in span.features}
    return {key: _shown(grant) for key, grant in found.items() if grant is not None}


def _shown(grant: Granted) -> object:
    match grant.kind:
        case "LIMIT":
            return shown(grant.limit)
        case "VALUE":
            return grant.value
    return True


def _fallback(verdict: Verdict, seen: Seen) -> str | None:
    """That nothing could be known, and what the tenant wants then."""
    return seen.fallback if verdict.reason.value == "UNAVAILABLE" else None


def shown(value: Decimal | None) -> Decimal | int | None:
    """All digits of a number, without zeros at the end."""
    if value is None:
        return None
    whole = value.to_integral_value()
    return int(whole) if whole == value else value.normalize(EXACT)


def _moment(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, tz=UTC).isoformat().replace("+00:00", "Z")
