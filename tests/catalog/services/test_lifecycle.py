"""Nine states: from each to each, and what is left of it on record."""

from itertools import product

import pytest
from django.db import ProgrammingError, transaction

from aforo.errors import Conflict
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from catalog.models import Subscription
from catalog.services.lifecycle import FACTS, LEGAL, change_state
from tests.factories import NOW, SubscriptionFactory
from tests.threads import in_threads

STATES = [state.value for state in Subscription.State]
# As the documentation has them, once more and apart from the code.
DOCUMENTED = {
    "CREATED": "TRIALING ACTIVE CANCELLED",
    "TRIALING": "ACTIVE CANCELLED PAUSED",
    "ACTIVE": "PAST_DUE PAUSED EXPIRING_SOON EXPIRED CANCELLED SUSPENDED",
    "PAST_DUE": "ACTIVE SUSPENDED CANCELLED EXPIRED",
    "PAUSED": "ACTIVE CANCELLED EXPIRED",
    "EXPIRING_SOON": "ACTIVE EXPIRED CANCELLED",
    "SUSPENDED": "ACTIVE CANCELLED EXPIRED",
    "EXPIRED": "",
    "CANCELLED": "",
}


def test_there_are_nine_states():
    assert len(STATES) == len(LEGAL) == len(FACTS) == 9


@pytest.mark.parametrize(("state", "following"), list(product(STATES, STATES)))
def test_each_state_is_followed_by_the_documented_ones_alone(tenant, actor, state, following):
    subscription = SubscriptionFactory(tenant=tenant, state=state)

    def change():
        return change_state(
            subscription=subscription, state=following, actor=actor, now=NOW, reason="a test"
        )

    if state == following:
        assert change().state == state
        traces = 0
    elif following in DOCUMENTED[state].split():
        assert change().state == following
        traces = 1
    else:
        with pytest.raises(Conflict) as refusal:
            change()
        assert refusal.value.code == "ILLEGAL_TRANSITION"
        traces = 0
    subscription.refresh_from_db()
    assert subscription.state == (following if traces else state)
    assert subscription.phases.count() == traces
    assert AuditEntry.objects.count() == traces
    assert OutboxMessage.objects.count() == traces


def test_a_phase_says_state_offering_reason_and_who(tenant, actor):
    subscription = SubscriptionFactory(tenant=tenant)
    change_state(
        subscription=subscription, state="SUSPENDED", actor=actor, now=NOW, reason="no payment"
    )
    (phase,) = subscription.phases.all()
    assert (phase.state, phase.offering_id) == ("SUSPENDED", subscription.offering_id)
    assert (phase.reason, phase.actor_name, phase.started_at) == ("no payment", actor.name, NOW)


def test_phases_never_change(tenant, actor):
    subscription = SubscriptionFactory(tenant=tenant)
    change_state(subscription=subscription, state="PAST_DUE", actor=actor, now=NOW)
    phase = subscription.phases.get()
    for act in (phase.delete, lambda: subscription.phases.update(reason="another")):
        with pytest.raises(ProgrammingError), transaction.atomic():
            act()


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_change_the_state_once(actor):
    subscription = SubscriptionFactory()

    def suspend(_):
        return change_state(
            subscription=subscription, state="SUSPENDED", actor=actor, now=NOW
        ).state

    assert in_threads(8, suspend) == ["SUSPENDED"] * 8
    assert subscription.phases.count() == 1
