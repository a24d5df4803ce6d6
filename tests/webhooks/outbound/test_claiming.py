"""Which delivery is next: one at a time to an endpoint, in order for a subject."""

from datetime import timedelta

import pytest

from tests.factories import NOW, WebhookEndpointFactory
from tests.threads import in_threads
from webhooks.models import OutboundDelivery, WebhookEndpoint
from webhooks.outbound.carrying import carry_page
from webhooks.outbound.claiming import LEASE, claim

SOON = timedelta(seconds=1)


def numbers(claims):
    return [one.message.payload["threshold"] for one in claims]


@pytest.fixture
def endpoint(tenant):
    return WebhookEndpointFactory(tenant=tenant)


def test_nothing_else_goes_to_an_endpoint_while_something_does(endpoint, tell):
    tell(1)
    tell(2)
    carry_page(now=NOW)
    assert numbers(claim(limit=10, now=NOW)) == [1]
    assert claim(limit=10, now=NOW + LEASE) == []
    assert numbers(claim(limit=10, now=NOW + LEASE + SOON)) == [1]  # its worker was killed


def test_what_comes_later_for_a_subject_waits_for_what_failed(endpoint, tell):
    for number, subject in enumerate(["a", "a", "b", ""]):
        tell(number, subject=subject)
    carry_page(now=NOW)
    OutboundDelivery.objects.filter(message__payload__threshold=0).update(
        next_attempt_at=NOW + timedelta(hours=1)
    )

    def next_ones(now):
        WebhookEndpoint.objects.update(claim_id=None)
        claims = claim(limit=10, now=now)
        taken = OutboundDelivery.objects.filter(pk__in=[one.delivery_id for one in claims])
        taken.update(state="DELIVERED", finished_at=now)
        return numbers(claims)

    assert [next_ones(NOW) for _ in range(3)] == [[2], [3], []]
    later = NOW + timedelta(hours=1)
    assert [next_ones(later) for _ in range(3)] == [[0], [1], []]


def test_an_endpoint_that_can_be_sent_nothing_takes_nobodys_place(endpoint, tell):
    for number, subject in enumerate(["a", "a"]):
        tell(number, subject=subject)
    carry_page(now=NOW)
    waits = OutboundDelivery.objects.filter(message__payload__threshold=0)
    waits.update(next_attempt_at=NOW + timedelta(hours=1))  # and what is due waits for its subject
    other = WebhookEndpointFactory(tenant=endpoint.tenant)
    tell(7)
    carry_page(now=NOW)
    OutboundDelivery.objects.filter(endpoint=endpoint, message__payload__threshold=7).delete()

    (claimed,) = claim(limit=1, now=NOW)
    assert (claimed.endpoint_id, claimed.message.payload["threshold"]) == (other.pk, 7)


def test_nothing_is_sent_to_endpoints_that_rest_or_are_off(endpoint, tell):
    tell()
    carry_page(now=NOW)
    endpoint.resting_until = NOW + SOON
    endpoint.save()
    assert claim(limit=10, now=NOW) == []
    endpoint.is_active, endpoint.resting_until = False, None
    endpoint.save()
    assert claim(limit=10, now=NOW) == []


def test_whoever_waited_longest_comes_first(tenant, tell):
    WebhookEndpointFactory.create_batch(3, tenant=tenant)
    tell(1)
    tell(2)
    carry_page(now=NOW)
    (first,) = claim(limit=1, now=NOW)
    WebhookEndpoint.objects.filter(pk=first.endpoint_id).update(claim_id=None)
    others = claim(limit=2, now=NOW + SOON)
    assert first.endpoint_id not in {one.endpoint_id for one in others}


@pytest.mark.django_db(transaction=True)
def test_eight_who_claim_get_each_endpoint_once(tenant, tell):
    WebhookEndpointFactory.create_batch(20, tenant=tenant)
    tell(1)
    tell(2)
    carry_page(now=NOW)

    def act(_):
        claims = claim(limit=7, now=NOW)
        return [one.endpoint_id for one in claims]

    found = [endpoint_id for ids in in_threads(8, act) for endpoint_id in ids]
    assert len(found) == len(set(found)) <= 20
