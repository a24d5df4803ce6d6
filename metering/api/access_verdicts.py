"""Verdicts of access checks, counted, and told in the log unless they are a plain yes.

Names of customers may be secrets: they are not told.
"""

from decimal import Decimal
from typing import Any

import structlog
from prometheus_client import Counter

from aforo.errors import AforoError
from metering.entitlements.decisions import Verdict, blind, feature_access, quota_check
from metering.entitlements.reading import Seen
from metering.entitlements.state import MarginState

COUNTED = Counter(
    "aforo_access_answers", "Answers to access checks by route and reason.", ["route", "reason"]
)
log = structlog.get_logger(__name__)


def judge_feature(seen: Seen, name: str, key: str, quantity: Decimal) -> Verdict:
    """Whether a customer may use a feature; the tenant's fallback where nothing is known."""
    held = seen.held.get(name)
    if held is None:
        return blind(seen.fallback)
    return feature_access(held, key, at=seen.at, quantity=quantity)


def judge_quota(seen: Seen, name: str, metric: str | None, quantity: Decimal) -> Verdict:
    """The same of a quota; without a metric, of the strictest."""
    held = seen.held.get(name)
    if held is None:
        return blind(seen.fallback)
    return quota_check(held, metric, at=seen.at, quantity=quantity)


def note(route: str, seen: Seen, verdict: Verdict, *, request_id: str, **asked: str | None) -> None:
    """Count a verdict; tell one that is no plain yes, with its reason."""
    COUNTED.labels(route, verdict.reason.value).inc()
    if verdict.reason.value != "OK" or verdict.margin.level != "NONE":
        log.info(
            "access_answered",
            route=route,
            tenant=seen.asking.slug,
            allowed=verdict.allowed,
            reason=verdict.reason.value,
            margin=verdict.margin.level,
            key=str(seen.asking.key_id or ""),
            request_id=request_id,
            **age(seen),
            **asked,
        )


def note_level(
    seen: Seen, margin: MarginState | None, metric: str | None, *, request_id: str
) -> None:
    """The same of a quick check; None is that nothing is known."""
    level = margin.level if margin else "UNAVAILABLE"
    COUNTED.labels("quick-check", level).inc()
    if level != "NONE":
        log.info(
            "margin_guard_answered",
            tenant=seen.asking.slug,
            reason=level,
            metric=metric,
            request_id=request_id,
            **age(seen),
        )


def note_throttled(route: str, seen: Seen, *, request_id: str) -> None:
    """A call that would have been allowed, of a customer whose calls do not all pass."""
    COUNTED.labels(route, "THROTTLED").inc()
    log.info(
        "access_throttled",
        route=route,
        tenant=seen.asking.slug,
        reason="L2_THROTTLE",
        request_id=request_id,
        **age(seen),
    )


def note_refused(route: str, error: AforoError, *, request_id: str) -> None:
    """A question that was not answered: no key, no such tenant, unreadable."""
    COUNTED.labels(route, error.code).inc()
    log.info("access_refused", route=route, reason=error.code, request_id=request_id)


def age_headers(seen: Seen) -> dict[str, str]:
    """That an answer was made from what was read some time ago, because nothing newer can be."""
    return {"X-Aforo-Stale": str(seen.stale_seconds)} if seen.stale_seconds else {}


def age(seen: Seen) -> dict[str, Any]:
    """The same for bodies and the log."""
    return {"staleSeconds": seen.stale_seconds} if seen.stale_seconds else {}
