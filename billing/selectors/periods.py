"""Periods that nobody has invoiced yet."""

from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing.models import Invoice
from catalog.models import SubscriptionPeriod


def unbilled_periods(
    *, tenant_id: UUID, until: datetime, after: datetime | None = None
) -> QuerySet[SubscriptionPeriod]:
    """Stored periods that end in (after, until] and have no invoice but void ones.

    Periods stored ahead that the subscription did not live to see are nobody's to bill.
    """
    invoices = Invoice.objects.for_tenant(tenant_id).filter(period=OuterRef("pk"))
    periods: QuerySet[SubscriptionPeriod] = SubscriptionPeriod.objects.for_tenant(tenant_id).filter(
        ~Exists(invoices.exclude(status=Invoice.Status.VOID)),
        Q(subscription__end_at__isnull=True) | Q(start_at__lt=F("subscription__end_at")),
        end_at__lte=until,
    )
    return periods if after is None else periods.filter(end_at__gt=after)
