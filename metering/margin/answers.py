"""What gateways are told of a customer's margin: the worst that any guard says.

`answers_of` tells it from a judgement, `stored_answers` from the rows that judgements leave: the
sync of access checks writes those whenever Redis may have lost or never had them.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.money import plain
from metering.entitlements import state
from metering.margin.arithmetic import Level, Margin, Reason
from metering.margin.judging import Judged, Pair
from metering.models import MarginGuard, MarginState

UNHELD = state.MarginState()
UNLIMITED = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Said:
    """What one guard says of one customer; `level` is what it means for requests."""

    guard: MarginGuard
    level: Level
    percent: Decimal | None
    message: str

    @property
    def severity(self) -> tuple[int, int, Decimal]:
        """The lower, the less passes."""
        rate = self.guard.requests_per_second
        return -self.level.rank, self.guard.throttle_rate, UNLIMITED if rate is None else rate


def answers_of(
    guards: Mapping[UUID, MarginGuard],
    judged: Mapping[Pair, Judged],
    names: Mapping[UUID, str],
) -> dict[str, state.MarginState]:
    """By external id, for everybody in `names`; guards of one metric speak for it alone."""
    said: defaultdict[UUID, list[Said]] = defaultdict(list)
    for (guard_id, customer_id), one in judged.items():
        guard = guards[guard_id]
        told = Said(
            guard, enforced(guard, one.level), one.margin.percent, message_of(one, one.level)
        )
        said[customer_id].append(told)
    return {name: _answer(said[customer_id]) for customer_id, name in names.items()}


def stored_answers(tenant_id: UUID, names: Collection[str]) -> dict[str, state.MarginState]:
    """The same from stored rows, in one statement; only those of `names` whom a guard ever held.

    Whoever is absent was never held, and may pass. Guards that are out of force say nothing.
    """
    rows = MarginState.objects.for_tenant(tenant_id).filter(customer__external_id__in=names)
    said: defaultdict[str, list[Said]] = defaultdict(list)
    for row in rows.select_related("guard__unit", "customer").order_by():
        told = said[row.customer.external_id]
        if row.guard.is_in_force:
            told.append(_stored(row))
    return {name: _answer(told) for name, told in said.items()}


def enforced(guard: MarginGuard, level: Level) -> Level:
    """What a level means for requests: a guard that only alerts lets all of them pass."""
    if guard.mode == MarginGuard.Mode.ALERT_ONLY and level.rank > Level.L1_ALERT.rank:
        return Level.L1_ALERT
    return level


def message_of(one: Judged, level: Level) -> str:
    """Why it has come to a level, in one sentence."""
    return _message(one.margin, one.currency, one.verdict.reason, one.thresholds.of(level))


def _stored(row: MarginState) -> Said:
    margin = Margin(row.revenue, row.cost)
    message = _message(margin, row.currency, Reason(row.reason), row.threshold)
    return Said(row.guard, enforced(row.guard, Level(row.level)), row.percent, message)


def _message(margin: Margin, currency: str, reason: Reason, threshold: Decimal | None) -> str:
    if threshold is None:
        return ""
    if reason == Reason.NO_REVENUE:
        return f"a cost of {plain(margin.cost)} {currency} without any revenue"
    return f"a margin of {margin.shown} is below {plain(threshold)} %"


def _answer(said: Sequence[Said]) -> state.MarginState:
    """Of the whole, and of each metric where guards of a unit let less pass.

    Callers name a metric by the unit's name or by the source metric that it counts.
    """
    of_all = [one for one in said if one.guard.unit_id is None]
    whole = min(of_all, key=_order, default=None)
    by_metric: defaultdict[str, list[Said]] = defaultdict(list)
    for one in said:
        if one.guard.unit is not None:
            by_metric[one.guard.unit.name].append(one)
            if one.guard.unit.metric != one.guard.unit.name:
                by_metric[one.guard.unit.metric].append(one)
    worse = {}
    for name in sorted(by_metric):
        worst = min(by_metric[name], key=_order)
        if worst.level is not Level.NONE and (whole is None or worst.severity < whole.severity):
            worse[name] = _told(worst, {})
    return _told(whole, worse)


def _order(one: Said) -> tuple[int, int, Decimal, str]:
    return *one.severity, one.guard.code


def _told(one: Said | None, by_metric: dict[str, state.MarginState]) -> state.MarginState:
    if one is None:
        return state.MarginState(by_metric=by_metric)
    is_throttled = one.level == Level.L2_THROTTLE
    return state.MarginState(
        level=one.level.value,
        percent=one.percent,
        throttle_rate=one.guard.throttle_rate if is_throttled else 100,
        requests_per_second=one.guard.requests_per_second if is_throttled else None,
        retry_after_seconds=one.guard.retry_after,
        message=one.message,
        by_metric=by_metric,
    )
