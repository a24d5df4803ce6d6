"""Alerts about subscriptions of which nothing is expected any more."""

from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from catalog.models import Subscription
from metering.models import Alert, AlertKind
from metering.services.alerts import recover_alerts


def recover_of_ended(*, tenant_id: UUID, kind: AlertKind, at: datetime, now: datetime) -> int:
    """Close what is open of subscriptions that are over by `at`, or are paused; how many.

    Judgements look at usage alone, and these will not have any. Both moments are the tenant's.
    """
    living = Subscription.objects.for_tenant(tenant_id).exclude(state=Subscription.State.PAUSED)
    living = living.exclude(end_at__lte=at).filter(pk=OuterRef("subscription_id"))
    rows = Alert.objects.for_tenant(tenant_id).filter(kind=kind, state=Alert.State.OPEN)
    subjects = list(rows.filter(~Exists(living)).values_list("subject", flat=True))
    return recover_alerts(tenant_id=tenant_id, kind=kind, subjects=subjects, now=now)
