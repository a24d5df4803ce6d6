"""Keys of one subscription: they live as long as it does."""

import pytest

from aforo.errors import Conflict
from aforo.tenancy.models import ApiKey
from catalog.services.subscription_keys import issue_subscription_key
from catalog.services.subscriptions import cancel_subscription
from tests.factories import NOW, SubscriptionFactory
from tests.threads import in_threads


def test_a_key_is_bound_to_its_subscription(sold, actor):
    subscription = sold()
    bound, text = issue_subscription_key(
        subscription=subscription, name="server", actor=actor, now=NOW
    )
    assert text.startswith("sk_live_")
    assert (bound.key.kind, bound.key.name) == ("METERING", "server")
    assert bound.key.subscription.subscription == subscription


def test_cancelling_revokes_the_keys(sold, actor):
    subscription, other = sold(), sold()
    keys = [
        issue_subscription_key(subscription=row, name="k", actor=actor, now=NOW)[0].key
        for row in (subscription, subscription, other)
    ]
    cancel_subscription(subscription=subscription, actor=actor, now=NOW)
    for key in keys:
        key.refresh_from_db()
    assert [key.revoked_at for key in keys] == [NOW, NOW, None]


def test_what_is_over_takes_no_keys(tenant, actor):
    subscription = SubscriptionFactory(tenant=tenant, state="CANCELLED")
    with pytest.raises(Conflict):
        issue_subscription_key(subscription=subscription, name="k", actor=actor, now=NOW)
    assert ApiKey.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_no_key_outlives_a_cancellation_that_comes_at_once(sold, actor):
    subscription = sold()

    def act(index):
        if index == 4:
            cancel_subscription(subscription=subscription, actor=actor, now=NOW)
            return
        try:
            issue_subscription_key(subscription=subscription, name="k", actor=actor, now=NOW)
        except Conflict:
            return

    in_threads(8, act)
    assert not ApiKey.objects.filter(revoked_at=None).exists()
