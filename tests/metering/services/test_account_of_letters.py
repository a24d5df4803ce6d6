"""Whatever is done to dead letters in whatever order, no event is lost and none counts twice."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.models import DeadLetter, UsageEvent
from metering.selectors.letters import Chosen
from metering.services import letter_decisions, letter_policies, letters
from tests.factories import (
    ApiKeyFactory,
    BillableUnitFactory,
    RatePlanVersionFactory,
    SandboxFactory,
)
from tests.metering.conftest import NOW, Seller, subscribe
from tests.metering.events import event
from tests.metering.ledger import assert_totals_hold
from tests.metering.letters import ACTOR, assert_balanced

ACTS = ("send", "drain", "replay", "replay all", "edit", "discard", "expire", "mend")
KINDS = (
    {},
    {"metricName": "gpu"},
    {"metricName": "gpu", "idempotencyKey": ...},
    {"customerId": "later"},
    {"customerId": "later", "idempotencyKey": ..., "occurredAt": ...},
    {"quantity": -1},
    {"occurredAt": "2020-01-01T00:00:00Z"},
    {"idempotencyKey": "shared", "quantity": 3},
    {"idempotencyKey": "shared", "customerId": "later"},
)
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTS), st.integers(0, len(KINDS) - 1), st.integers(1, 3)),
    min_size=3,
    max_size=14,
)


class Story:
    """One tenant to whom all this happens; `received` is what its doors took."""

    def __init__(self, client, number):
        self.tenant = SandboxFactory(clock_frozen_at=NOW, dead_letter_days=1)
        secret = f"sk_test_{number:040d}"
        ApiKeyFactory(tenant=self.tenant, secret=secret)
        calls = BillableUnitFactory(tenant=self.tenant, name="calls")
        self.version = RatePlanVersionFactory(
            tenant=self.tenant, prices={calls: {"model": "PER_UNIT", "rate": "1"}}, published=True
        )
        subscribe(self.tenant, "cust_1", self.version)
        self.seller = Seller(self.tenant, client, secret)
        self.received = 0
        self.is_mended = False

    def letter(self, number):
        found = list(DeadLetter.objects.for_tenant(self.tenant).filter(status="OPEN"))
        return found[number % len(found)] if found else None

    def send(self, kind, times):
        sent = [event(f"{kind}", **KINDS[kind]) for _ in range(times)]
        assert self.seller.send(*sent).status_code in {202, 422}
        self.received += times

    def mend(self):
        if not self.is_mended:
            self.is_mended = True
            BillableUnitFactory(tenant=self.tenant, name="gpu")
            subscribe(self.tenant, "later", self.version)

    def decided(self, act, kind):
        letter = self.letter(kind)
        if letter is None:
            return
        named = {"letter": letter, "actor": ACTOR, "now": NOW}
        if act == "replay":
            letters.replay_letter(**named)
        elif act == "edit":
            body = b'{"customerId": "cust_1", "metricName": "calls", "quantity": 1}'
            letters.edit_letter(event=body, **named)
        else:
            letters.discard_letter(reason="so decided", **named)

    def act(self, act, kind, times):
        if act == "send":
            self.send(kind, times)
        elif act == "drain":
            self.seller.drain(limit=times)
        elif act == "mend":
            self.mend()
        elif act == "replay all":
            letter_decisions.decide_now(
                tenant=self.tenant, act="REPLAY", chosen=Chosen(source="API"), actor=ACTOR, now=NOW
            )
        elif act == "expire":
            self.tenant.refresh_from_db()
            self.tenant.clock_frozen_at += timedelta(hours=times * 6)
            self.tenant.save(update_fields=["clock_frozen_at"])
            letter_policies.expire_letters(now=NOW)
        else:
            self.decided(act, kind)


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_every_event_is_in_one_place_whatever_is_decided(client, no_wakes, steps):
    test_every_event_is_in_one_place_whatever_is_decided.runs += 1
    story = Story(client, test_every_event_is_in_one_place_whatever_is_decided.runs)
    for act, kind, times in [*steps, ("mend", 0, 1), ("replay all", 0, 1), ("drain", 0, 20_000)]:
        story.act(act, kind, times)
        assert_balanced(story.tenant, received=story.received)
    keys = UsageEvent.objects.filter(tenant_id=story.tenant.pk).values_list("idempotency_key")
    assert len(keys) == len(set(keys))
    assert_totals_hold()


test_every_event_is_in_one_place_whatever_is_decided.runs = 0
