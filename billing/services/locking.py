"""What whoever bills, voids or previews locks first: subscriptions, and coupons for one invoice.

One order everywhere: subscriptions by id, redemptions by id, then periods and totals by id. What is
read after that cannot change until the transaction ends: no other invoice of these subscriptions
is drafted or voided, and no coupon of theirs is spent.
"""

from collections.abc import Collection
from uuid import UUID

from catalog.models import Coupon, CouponRedemption, Subscription


def lock_for_billing(tenant_id: UUID, subscription_ids: Collection[UUID]) -> None:
    """Wait for whoever bills these subscriptions, or takes an invoice of theirs back.

    A coupon for one invoice may be held for all subscriptions of a customer. Two statements; again
    changes nothing. Whoever writes rows that refer to a subscription is not kept waiting.
    """
    if not subscription_ids:
        return
    rows = Subscription.objects.for_tenant(tenant_id).filter(pk__in=subscription_ids)
    locked = rows.order_by("pk").select_for_update(no_key=True)
    customers = set(locked.values_list("customer_id", flat=True))
    redemptions = CouponRedemption.objects.for_tenant(tenant_id).filter(
        customer_id__in=customers, coupon__duration=Coupon.Duration.ONCE
    )
    once = redemptions.order_by("pk").select_for_update(of=("self",), no_key=True)
    list(once.values_list("pk", flat=True))
