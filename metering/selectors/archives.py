"""Which months of events have left, and whose usage lies in them."""

from datetime import UTC, datetime, time

from django.db.models import Q, QuerySet

from aforo.periods import add_months
from catalog.models import SubscriptionPeriod
from metering.models import ArchivedMonth


def archived_months() -> list[ArchivedMonth]:
    """All of them, oldest first: a dozen a year."""
    return list(ArchivedMonth.objects.order_by("month"))  # any tenant: months are everybody's


def periods_with_archives() -> QuerySet[SubscriptionPeriod] | None:
    """Billing periods some of whose events may have left; None where nothing has."""
    reached = Q()
    for archived in archived_months():
        start = datetime.combine(archived.month, time(), tzinfo=UTC)
        reached |= Q(start_at__lt=add_months(start, 1), end_at__gt=start)
    if not reached:
        return None
    return SubscriptionPeriod.objects.filter(reached)  # any tenant: likewise
