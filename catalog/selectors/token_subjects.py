"""For whom a key speaks: what a token that is given out to it says of its customer."""

from aforo.tenancy.models import ApiKey
from aforo.tenancy.services.tokens import Subject
from catalog.models import Subscription, SubscriptionKey


def subject_of(key: ApiKey) -> Subject:
    """The customer and the subscriptions that a key is bound to; a tenant's own key has none."""
    bound = (
        SubscriptionKey.objects.for_tenant(key.tenant_id)
        .filter(key=key)
        .exclude(subscription__state__in=Subscription.OVER)
        .select_related("subscription__customer")
    )
    subscriptions = [row.subscription for row in bound]
    customers = [one.customer.external_id for one in subscriptions]
    return Subject(
        tenant_id=str(key.tenant_id),
        customer_id=customers[0] if customers else None,
        key_id=str(key.pk),
        offering_ids=tuple(str(one.offering_id) for one in subscriptions),
        subscription_ids=tuple(str(one.pk) for one in subscriptions),
        environment="test" if key.tenant.is_sandbox else "live",
    )
