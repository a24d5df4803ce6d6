"""Periods that nobody has invoiced yet, and those whose late usage nothing else will carry.

What a void invoice billed waits for somebody to regenerate it: no run takes it up by itself.
"""

from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from billing.models import Invoice
from billing.selectors.terms import periods_owing_terms
from catalog.models import (
    RatePlanVersion,
    SubscriptionPeriod,
    SubscriptionPlan,
    UnitPrice,
    VersionCurrency,
)
from metering.models import LateTotal, RunningTotal


def unbilled_periods(
    *, tenant_id: UUID, until: datetime | None = None, after: datetime | None = None
) -> QuerySet[SubscriptionPeriod]:
    """Stored periods that end in (after, until] and have no invoice.

    Nobody bills a trial, nor periods stored ahead that the subscription did not live to see, unless
    events were counted in them before its end was known.
    """
    periods = billable_periods(tenant_id=tenant_id).filter(
        ~Exists(_invoices_of(tenant_id, Invoice.Kind.PERIOD))
    )
    if until is not None:
        periods = periods.filter(end_at__lte=until)
    return periods if after is None else periods.filter(end_at__gt=after)


def billable_periods(*, tenant_id: UUID) -> QuerySet[SubscriptionPeriod]:
    """Stored periods that cost something, whether they are billed or not."""
    periods: QuerySet[SubscriptionPeriod] = SubscriptionPeriod.objects.for_tenant(tenant_id)
    return periods.exclude(kind=SubscriptionPeriod.Kind.TRIAL).filter(
        Q(subscription__end_at__isnull=True)
        | Q(start_at__lt=F("subscription__end_at"))
        | Exists(_counted_totals(tenant_id))
    )


def running_periods(*, tenant_id: UUID, now: datetime) -> QuerySet[SubscriptionPeriod]:
    """Periods that `now` falls into, that cost something and are not billed."""
    return billable_periods(tenant_id=tenant_id).filter(
        ~Exists(_standing_invoices(tenant_id)), start_at__lte=now, end_at__gt=now
    )


def openable_periods(
    *, tenant_id: UUID, until: datetime, after: datetime | None = None
) -> QuerySet[SubscriptionPeriod]:
    """Periods that begin in (after, until] and owe fees in advance that no other invoice asks for.

    The invoice of a period asks for the fees of the next. So these are the first ones: of a
    subscription, after its trial, after a pause.
    """
    regular = billable_periods(tenant_id=tenant_id).filter(subscription=OuterRef("subscription"))
    before = regular.filter(end_at=OuterRef("start_at"))
    earlier = regular.filter(start_at__lt=OuterRef("start_at"))
    pinned = (
        SubscriptionPlan.objects.for_tenant(tenant_id)
        .filter(
            Q(start_at=None) | Q(start_at__lte=OuterRef("start_at")),
            Q(end_at=None) | Q(end_at__gt=OuterRef("start_at")),
            subscription=OuterRef("subscription"),
        )
        .annotate(base_fee=_fee(tenant_id, "base_fee"), setup_fee=_fee(tenant_id, "setup_fee"))
    )
    in_advance = Q(version__base_fee_timing=RatePlanVersion.BaseFeeTiming.ADVANCE)
    rates = UnitPrice.objects.for_tenant(tenant_id).filter(timing=UnitPrice.Timing.ADVANCE)
    of_periods = Q(version__in=rates.values("version")) | in_advance & Q(base_fee__gt=0)
    at_first = in_advance & Q(setup_fee__gt=0)
    periods = billable_periods(tenant_id=tenant_id).filter(
        Exists(pinned.filter(of_periods)) | (Exists(pinned.filter(at_first)) & ~Exists(earlier)),
        ~Exists(before),
        ~Exists(_invoices_of(tenant_id, Invoice.Kind.OPENING, Invoice.Kind.PERIOD)),
        start_at__lte=until,
    )
    return periods if after is None else periods.filter(start_at__gt=after)


def _fee(tenant_id: UUID, name: str) -> Coalesce:
    """A fee of a pinned version: in the currency of the subscription, else the plan's own."""
    rows = VersionCurrency.objects.for_tenant(tenant_id).filter(
        version=OuterRef("version"), currency=OuterRef("subscription__currency")
    )
    return Coalesce(Subquery(rows.values(name)[:1]), F(f"version__{name}"))


def adjustable_periods(
    *, tenant_id: UUID, until: datetime, deferred: bool = True
) -> QuerySet[SubscriptionPeriod]:
    """The last periods of subscriptions that ended by `until`, are billed, and have late usage.

    Their late usage has no later period to go with. And the last ones of terms of contracts whose
    minimum their own invoices could not ask for. Without `deferred`, what a run has found to be
    a credit that no invoice has room for is left out.
    """
    late = LateTotal.objects.filter(tenant_id=tenant_id)  # any tenant: filtered by id
    if not deferred:
        late = late.filter(deferred_at=None)
    later = SubscriptionPeriod.objects.for_tenant(tenant_id).filter(
        subscription=OuterRef("subscription"),
        start_at__gt=OuterRef("start_at"),
        start_at__lt=OuterRef("subscription__end_at"),
    )
    periods: QuerySet[SubscriptionPeriod] = SubscriptionPeriod.objects.for_tenant(tenant_id).filter(
        Q(
            Exists(_standing_invoices(tenant_id)),
            ~Exists(later),
            subscription__in=late.values("subscription_id"),
            subscription__end_at__lte=until,
            start_at__lt=F("subscription__end_at"),
        )
        | Q(pk__in=periods_owing_terms(tenant_id, until))
    )
    return periods


def _counted_totals(tenant_id: UUID) -> QuerySet[RunningTotal]:
    totals = RunningTotal.objects.filter(tenant_id=tenant_id)  # any tenant: filtered by id
    return totals.filter(period_id=OuterRef("pk"), event_count__gt=0)


def _standing_invoices(tenant_id: UUID) -> QuerySet[Invoice]:
    return _invoices_of(tenant_id, Invoice.Kind.PERIOD).exclude(status=Invoice.Status.VOID)


def _invoices_of(tenant_id: UUID, *kinds: Invoice.Kind) -> QuerySet[Invoice]:
    invoices: QuerySet[Invoice] = Invoice.objects.for_tenant(tenant_id).filter(
        period=OuterRef("pk"), kind__in=kinds
    )
    return invoices
