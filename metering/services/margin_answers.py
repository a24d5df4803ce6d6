"""What gateways are told of a customer's margin: the worst that any guard says."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from aforo.money import plain
from metering.entitlements.state import MarginState
from metering.margin.arithmetic import Level, Reason
from metering.margin.judging import Judged, Pair
from metering.models import MarginGuard

Said = tuple[MarginGuard, Judged]


def answers_of(
    guards: Mapping[UUID, MarginGuard],
    judged: Mapping[Pair, Judged],
    names: Mapping[UUID, str],
) -> dict[str, MarginState]:
    """By external id, for everybody in `names`; guards of one metric speak for it alone."""
    said: defaultdict[UUID, list[Said]] = defaultdict(list)
    for (guard_id, customer_id), one in judged.items():
        said[customer_id].append((guards[guard_id], one))
    return {name: _answer(said[customer_id]) for customer_id, name in names.items()}


def enforced(guard: MarginGuard, level: Level) -> Level:
    """What a level means for requests: a guard that only alerts lets all of them pass."""
    if guard.mode == MarginGuard.Mode.ALERT_ONLY and level.rank > Level.L1_ALERT.rank:
        return Level.L1_ALERT
    return level


def message_of(one: Judged) -> str:
    """Why, in one sentence."""
    if one.threshold is None:
        return ""
    if one.verdict.reason == Reason.NO_REVENUE:
        return f"a cost of {plain(one.margin.cost)} {one.currency} without any revenue"
    return f"a margin of {one.margin.shown} is below {plain(one.threshold)} %"


def _answer(said: Iterable[Said]) -> MarginState:
    said = list(said)
    whole = _worst(one for one in said if one[0].unit_id is None)
    by_unit: defaultdict[str, list[Said]] = defaultdict(list)
    for guard, one in said:
        if guard.unit is not None:
            by_unit[guard.unit.name].append((guard, one))
    worse = {}
    for metric, found in by_unit.items():
        answer = _worst(found)
        if Level(answer.level).rank > Level(whole.level).rank:
            worse[metric] = answer
    return MarginState(
        level=whole.level,
        percent=whole.percent,
        throttle_rate=whole.throttle_rate,
        retry_after_seconds=whole.retry_after_seconds,
        message=whole.message,
        by_metric=worse,
    )


def _worst(said: Iterable[Said]) -> MarginState:
    """Of equal levels the guard that lets the least pass; its numbers are told."""
    found = sorted(said, key=_severity)
    if not found:
        return MarginState()
    guard, one = found[0]
    level = enforced(guard, one.level)
    return MarginState(
        level=level.value,
        percent=one.margin.percent,
        throttle_rate=guard.throttle_rate if level == Level.L2_THROTTLE else 100,
        retry_after_seconds=guard.retry_after,
        message=message_of(one),
    )


def _severity(said: Said) -> tuple[int, int, str]:
    guard, one = said
    return -enforced(guard, one.level).rank, guard.throttle_rate, guard.code
