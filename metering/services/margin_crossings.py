"""Telling that a margin has crossed a level: decisions, alerts and facts, once each."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from aforo.money import ZERO, plain
from aforo.outbox.services import publish_many
from catalog.models import Customer
from metering.margin.answers import enforced, message_of
from metering.margin.arithmetic import Level, Margin, Thresholds
from metering.margin.evidence import Sources
from metering.margin.judging import RELEASED, Judged
from metering.models import AlertKind, GuardDecision, MarginGuard, MarginState, Severity
from metering.services.alerts import Finding, raise_alerts, recover_alerts

RECOVERED = "margin.recovered"


class Told(NamedTuple):
    """How a level is told."""

    kind: AlertKind
    fact: str
    severity: Severity
    verb: str


TOLD = {
    Level.L1_ALERT: Told(AlertKind.MARGIN_WARNING, "margin.warning", Severity.WARNING, "warned of"),
    Level.L2_THROTTLE: Told(
        AlertKind.MARGIN_THROTTLED, "margin.throttled", Severity.WARNING, "throttled by"
    ),
    Level.L3_BLOCK: Told(
        AlertKind.MARGIN_BLOCKED, "margin.blocked", Severity.CRITICAL, "blocked by"
    ),
}


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a customer stood with a guard, and where it stands now."""

    guard: MarginGuard
    customer_id: UUID
    before: Level
    judged: Judged

    @classmethod
    def of(
        cls, guard: MarginGuard, customer_id: UUID, row: MarginState | None, judged: Judged
    ) -> "Crossing":
        before = Level.NONE if row is None else Level(row.level)
        return cls(guard, customer_id, before, judged)

    @classmethod
    def released(cls, row: MarginState) -> "Crossing":
        """The guard does not look at this customer any more."""
        margin = Margin(row.revenue, row.cost)
        judged = Judged(RELEASED, row.currency, margin, Thresholds())
        return cls(row.guard, row.customer_id, Level(row.level), judged)

    @property
    def after(self) -> Level:
        return self.judged.level

    @property
    def is_change(self) -> bool:
        return self.before != self.after

    def says_what(self, row: MarginState) -> bool:
        """Whether the row holds all of this already."""
        margin, verdict = self.judged.margin, self.judged.verdict
        return (row.level, row.reason, row.currency, row.revenue, row.cost, row.threshold) == (
            verdict.level.value,
            verdict.reason.value,
            self.judged.currency,
            margin.revenue,
            margin.cost,
            self.judged.threshold,
        )

    def stored(self, tenant_id: UUID, row: MarginState | None, *, now: datetime) -> MarginState:
        """The row of where it stands now."""
        if row is None:
            row = MarginState(tenant_id=tenant_id, guard=self.guard, customer_id=self.customer_id)
        row.level, row.reason = self.after.value, self.judged.verdict.reason.value
        row.currency, row.judged_at = self.judged.currency, now
        margin = self.judged.margin
        row.revenue, row.cost, row.percent = margin.revenue, margin.cost, margin.percent
        row.threshold = self.judged.threshold
        if self.is_change:
            row.since = now
        return row


def tell(tenant_id: UUID, crossings: Sequence[Crossing], *, now: datetime) -> None:
    """Log each decision, raise an alert and its fact per level fallen to, recover what has risen.

    A fall over two levels is told as both, so that whoever listens for one hears of it.
    """
    if not crossings:
        return
    GuardDecision.objects.bulk_create(
        _decision(tenant_id, crossing, now=now) for crossing in crossings
    )
    customers = Customer.objects.for_tenant(tenant_id).in_bulk(
        {crossing.customer_id for crossing in crossings}
    )
    fallen = [one for one in crossings if one.after.rank > one.before.rank]
    if fallen:
        sources = Sources(tenant_id, {one.customer_id for one in fallen}, now=now)
        found = (one for crossing in fallen for one in _findings(crossing, customers, sources))
        raise_alerts(list(found), now=now)
    _recover(tenant_id, crossings, customers, now=now)


def _decision(tenant_id: UUID, crossing: Crossing, *, now: datetime) -> GuardDecision:
    margin = crossing.judged.margin
    return GuardDecision(
        tenant_id=tenant_id,
        guard=crossing.guard,
        customer_id=crossing.customer_id,
        before=crossing.before.value,
        level=crossing.after.value,
        reason=crossing.judged.verdict.reason.value,
        mode=crossing.guard.mode,
        currency=crossing.judged.currency,
        revenue=margin.revenue,
        cost=margin.cost,
        percent=margin.percent,
        decided_at=now,
    )


def _between(low: Level, high: Level) -> Iterator[Level]:
    return (level for level in Level if low.rank < level.rank <= high.rank)


def _findings(
    crossing: Crossing, customers: dict[UUID, Customer], sources: Sources
) -> Iterator[Finding]:
    guard, customer = crossing.guard, customers[crossing.customer_id]
    for level in _between(crossing.before, crossing.after):
        told = TOLD[enforced(guard, level)]
        payload = _payload(crossing, customer, level) | _for(guard.channels_of(level))
        yield Finding(
            tenant_id=guard.tenant_id,
            kind=told.kind,
            subject=_subject(crossing, level),
            title=f"{customer} is {told.verb} guard {guard}: {message_of(crossing.judged, level)}",
            severity=told.severity,
            customer_id=customer.pk,
            unit_id=guard.unit_id,
            evidence={"numbers": payload, **sources.of(customer.pk, guard.unit_id)},
            fact=told.fact,
            payload=payload,
        )


def _recover(
    tenant_id: UUID,
    crossings: Sequence[Crossing],
    customers: dict[UUID, Customer],
    *,
    now: datetime,
) -> None:
    risen = [crossing for crossing in crossings if crossing.after.rank < crossing.before.rank]
    subjects: defaultdict[AlertKind, list[str]] = defaultdict(list)
    for crossing in risen:
        for level in _between(crossing.after, crossing.before):
            for kind in {TOLD[level].kind, AlertKind.MARGIN_WARNING}:
                subjects[kind].append(_subject(crossing, level))
    for kind in sorted(subjects):
        recover_alerts(tenant_id=tenant_id, kind=kind, subjects=subjects[kind], now=now)
    payloads: defaultdict[UUID, dict[UUID, dict[str, object]]] = defaultdict(dict)
    for crossing in risen:
        told = _payload(crossing, customers[crossing.customer_id], crossing.after)
        told |= _for(_told_by(crossing))
        payloads[crossing.guard.pk][crossing.customer_id] = told
    for said in payloads.values():
        publish_many(tenant_id=tenant_id, fact=RECOVERED, payloads=said, now=now)


def _told_by(crossing: Crossing) -> list[str]:
    """The channels of all levels that it has risen from; none of them speaks to all: nor this."""
    chosen = [crossing.guard.channels_of(one) for one in _between(crossing.after, crossing.before)]
    return sorted({channel for found in chosen for channel in found}) if all(chosen) else []


def _for(channels: Sequence[str]) -> dict[str, object]:
    return {"channels": list(channels)} if channels else {}


def _subject(crossing: Crossing, level: Level) -> str:
    """One alert per guard, customer and level is open at a time."""
    return f"{crossing.guard.pk}:{crossing.customer_id}:{level.value}"


def _payload(crossing: Crossing, customer: Customer, level: Level) -> dict[str, object]:
    """What is told of `level`, with the percentage below which that begins."""
    guard, judged = crossing.guard, crossing.judged
    percent, threshold = judged.margin.percent, judged.thresholds.of(level)
    return {
        "guardId": str(guard.pk),
        "guard": guard.code,
        "customerId": customer.external_id,
        "metric": guard.unit.name if guard.unit else None,
        "mode": guard.mode,
        "before": crossing.before.value,
        "level": level.value,
        "reason": judged.verdict.reason.value,
        "currency": judged.currency,
        "revenue": plain(judged.margin.revenue),
        "cost": plain(judged.margin.cost or ZERO),
        "marginPercent": None if percent is None else plain(percent),
        "floorPercent": None if threshold is None else plain(threshold),
    }
