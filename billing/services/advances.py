"""Fees in advance as facts: what periods owe of them, what was asked for, what comes next."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from aforo.money import ZERO
from aforo.periods import days_between
from billing.models import Invoice, InvoiceLine
from billing.pipeline import AdvanceFact, FeeFact, LineType, PaidFact, PlanFact, Share
from billing.pipeline.lines import short
from billing.services.contracts import Contract
from billing.services.fee_discounts import taken_off_fees
from catalog.models import SubscriptionPeriod


@dataclass(frozen=True, slots=True)
class Asked:
    """Standing lines in advance, by subscription and by the start of what they cover.

    Those of setup fees cover nothing. Of those of periods that were cut, what discounts took off.
    """

    lines: Mapping[tuple[UUID, datetime | None], Sequence[InvoiceLine]]
    taken_off: Mapping[UUID, Decimal]

    def get(self, key: tuple[UUID, datetime | None], default: tuple[()]) -> Sequence[InvoiceLine]:
        return self.lines.get(key, default)


def fees_of(contract: Contract) -> tuple[FeeFact, ...]:
    """What a period with this contract owes in advance: base fees, and flat rates of units."""
    return tuple(_fees(contract))


def _fees(contract: Contract) -> Iterator[FeeFact]:
    for plan in contract.plans:
        if plan.in_advance and plan.base_fee:
            yield FeeFact(
                version_id=plan.version_id,
                plan_name=plan.name,
                subject="base fee",
                amount=plan.base_fee,
                by_days=plan.by_days,
                discount_percent=plan.discount_percent,
                tax_code=plan.tax_code,
            )
        for price in contract.prices:
            if price.version_id == plan.version_id and price.is_in_advance:
                yield FeeFact(
                    version_id=plan.version_id,
                    plan_name=plan.name,
                    subject=short(price.unit_name),
                    amount=price.terms.charge(ZERO),
                    unit_id=price.unit_id,
                    by_days=plan.by_days,
                    discount_percent=plan.discount_percent,
                    tax_code=price.tax_code or plan.tax_code,
                )


def next_periods(
    tenant_id: UUID, periods: Collection[SubscriptionPeriod]
) -> Mapping[UUID, SubscriptionPeriod]:
    """By the id of a period, the one that follows it, at once or after a pause; one statement."""
    if not periods:
        return {}
    rows = (
        SubscriptionPeriod.objects.for_tenant(tenant_id)
        .filter(
            subscription_id__in={period.subscription_id for period in periods},
            start_at__gte=min(period.end_at for period in periods),
            kind=SubscriptionPeriod.Kind.REGULAR,
        )
        .order_by("start_at")
    )
    stored: defaultdict[UUID, list[SubscriptionPeriod]] = defaultdict(list)
    for row in rows:
        stored[row.subscription_id].append(row)
    found = {}
    for period in periods:
        stops = period.subscription.end_at
        for row in stored[period.subscription_id]:
            if row.start_at >= period.end_at and (stops is None or row.start_at < stops):
                row.subscription = period.subscription
                found[period.pk] = row
                break
    return found


def billed_among(tenant_id: UUID, periods: Collection[SubscriptionPeriod]) -> frozenset[UUID]:
    """Ids of those that are billed already: their own invoices have asked for their fees."""
    if not periods:
        return frozenset()
    rows = Invoice.objects.for_tenant(tenant_id).filter(
        period__in=periods, kind=Invoice.Kind.PERIOD
    )
    standing = rows.exclude(status=Invoice.Status.VOID)
    return frozenset(standing.values_list("period_id", flat=True))


def asked_in_advance(tenant_id: UUID, subscription_ids: Collection[UUID]) -> Asked:
    """Every fee in advance, and every setup fee, that their standing invoices ask for.

    One statement, and two more where a period was cut that a fee in advance was asked for.
    """
    cut = SubscriptionPeriod.objects.for_tenant(tenant_id).filter(
        subscription=OuterRef("invoice__subscription"),
        start_at=OuterRef("covers_start_at"),
        end_at__lt=OuterRef("covers_end_at"),
    )
    rows = (
        InvoiceLine.objects.for_tenant(tenant_id)
        .filter(
            Q(covers_start_at__isnull=False) | Q(type=LineType.SETUP_FEE),
            invoice__subscription_id__in=subscription_ids,
        )
        .exclude(invoice__status=Invoice.Status.VOID)
        .exclude(type=LineType.PRORATION)  # given back, not asked for
        .annotate(is_cut=Exists(cut))
        .select_related("invoice")
        .order_by("invoice__created_at", "position")
    )
    found: defaultdict[tuple[UUID, datetime | None], list[InvoiceLine]] = defaultdict(list)
    for row in rows:
        found[row.invoice.subscription_id, row.covers_start_at].append(row)
    return Asked(found, taken_off_fees(tenant_id, [row for row in rows if row.is_cut]))


def without_paid_setup(
    plans: Sequence[PlanFact], period: SubscriptionPeriod, asked: Asked
) -> tuple[PlanFact, ...]:
    """The plans; of those whose setup fee a standing invoice asks for, none is due any more."""
    known = {line.version_id for line in asked.get((period.subscription_id, None), ())}
    return tuple(
        replace(plan, setup_fee=ZERO) if plan.version_id in known else plan for plan in plans
    )


def paid_facts(
    period: SubscriptionPeriod, fees: Sequence[FeeFact], asked: Asked
) -> tuple[PaidFact, ...]:
    """Which of its fees were asked for, and the part of them that the period was cut short by."""
    lines = {
        (line.version_id, line.unit_id): line
        for line in asked.get((period.subscription_id, period.start_at), ())
    }
    return tuple(
        PaidFact(
            fee,
            line.exact_amount,
            _unused(period, line, by_days=fee.by_days),
            taken_off=asked.taken_off.get(line.pk, ZERO),
        )
        for fee in fees
        if (line := lines.get((fee.version_id, fee.unit_id))) is not None
    )


def _unused(period: SubscriptionPeriod, line: InvoiceLine, *, by_days: bool) -> Share:
    """A cut that is not prorated leaves whole periods: of those nothing is given back."""
    start, paid_until = line.covers_start_at, line.covers_end_at
    assert start is not None  # noqa: S101 - asked_in_advance chose such
    assert paid_until is not None  # noqa: S101 - likewise
    measure = "days" if by_days else "seconds"
    whole = _length(period, start, paid_until, by_days=by_days)
    if paid_until <= period.end_at or period.whole_end_at is None:
        return Share(ZERO, whole, measure)
    return Share(_length(period, period.end_at, paid_until, by_days=by_days), whole, measure)


def _length(
    period: SubscriptionPeriod, start: datetime, end: datetime, *, by_days: bool
) -> Decimal:
    if by_days:
        return Decimal(days_between(start, end, period.subscription.time_zone))
    span = end - start
    return Decimal((span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds).scaleb(-6)


def advance_fact(
    period: SubscriptionPeriod,
    following: SubscriptionPeriod | None,
    contract: Contract,
    asked: Asked,
) -> AdvanceFact | None:
    """What the next period owes in advance and nobody has asked for yet.

    One that begins after a pause has an opening invoice of its own.
    """
    if following is None or following.start_at != period.end_at:
        return None
    lines = asked.get((following.subscription_id, following.start_at), ())
    known = {(line.version_id, line.unit_id) for line in lines}
    fees = tuple(fee for fee in fees_of(contract) if (fee.version_id, fee.unit_id) not in known)
    if not fees:
        return None
    days, whole_days = days_of(following)
    return AdvanceFact(
        start=following.start_at,
        end=following.end_at,
        seconds=following.seconds,
        whole_seconds=following.whole_seconds,
        fees=fees,
        days=days,
        whole_days=whole_days,
    )


def days_of(period: SubscriptionPeriod) -> tuple[Decimal, Decimal]:
    """Its calendar days in the billing time zone, and those of the whole period."""
    zone = period.subscription.time_zone
    whole_end = period.whole_end_at or period.end_at
    return (
        Decimal(days_between(period.start_at, period.end_at, zone)),
        Decimal(days_between(period.whole_start_at, whole_end, zone)),
    )
