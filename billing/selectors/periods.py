"""Periods that nobody has invoiced yet, and those whose late usage nothing else will carry."""

from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing.models import Invoice
from catalog.models import SubscriptionPeriod
from metering.models import LateTotal


def unbilled_periods(
    *, tenant_id: UUID, until: datetime | None = None, after: datetime | None = None
) -> QuerySet[SubscriptionPeriod]:
    """Stored periods that end in (after, until] and have no invoice but void ones.

    Periods stored ahead that the subscription did not live to see are nobody's to bill.
    """
    periods: QuerySet[SubscriptionPeriod] = SubscriptionPeriod.objects.for_tenant(tenant_id).filter(
        ~Exists(_standing_invoices(tenant_id)),
        Q(subscription__end_at__isnull=True) | Q(start_at__lt=F("subscription__end_at")),
    )
    if until is not None:
        periods = periods.filter(end_at__lte=until)
    return periods if after is None else periods.filter(end_at__gt=after)


def adjustable_periods(
    *, tenant_id: UUID, until: datetime, deferred: bool = True
) -> QuerySet[SubscriptionPeriod]:
    """The last periods of subscriptions that ended by `until`, are billed, and have late usage.

    Their late usage has no later period to go with. Without `deferred`, what a run has found to be
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
        Exists(_standing_invoices(tenant_id)),
        ~Exists(later),
        subscription__in=late.values("subscription_id"),
        subscription__end_at__lte=until,
        start_at__lt=F("subscription__end_at"),
    )
    return periods


def _standing_invoices(tenant_id: UUID) -> QuerySet[Invoice]:
    invoices: QuerySet[Invoice] = Invoice.objects.for_tenant(tenant_id).filter(
        period=OuterRef("pk"), kind=Invoice.Kind.PERIOD
    )
    return invoices.exclude(status=Invoice.Status.VOID)
