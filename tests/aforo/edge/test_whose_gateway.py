"""Whose keys open a gateway, and what is answered of keys that cannot be read."""

import pytest

from aforo import valkey
from aforo.edge import line
from aforo.edge.options import Misconfigured, Options
from aforo.tenancy import plaintext
from aforo.tenancy.key_entries import ENTRIES_WHOLE, is_possible_key
from aforo.tenancy.services.actors import Actor
from catalog.services.subscription_keys import issue_subscription_key
from metering.entitlements import publishing
from metering.services.key_entries import publish_entries
from tests.factories import RatePlanVersionFactory, SandboxFactory
from tests.metering.conftest import NOW, subscribe

pytestmark = pytest.mark.django_db

INVENTED = f"Bearer sk_live_{'x' * 40}"
FORMLESS = ("Bearer nonsense", f"Bearer sk_live_{'x' * 39}", "Bearer sk_live_%41", "Bearer é")


@pytest.fixture
def foreign():
    """A key that somebody has given out in a sandbox of the same installation."""
    sandbox = SandboxFactory(clock_frozen_at=NOW)
    version = RatePlanVersionFactory(tenant=sandbox, published=True)
    about = {"actor": Actor.system("test"), "now": NOW}
    mine = subscribe(sandbox, "mine", version)
    _, text = issue_subscription_key(subscription=mine, name="x", **about)
    publishing.sync_tenant(sandbox, now=NOW)
    return sandbox, f"Bearer {text}"


def test_keys_of_other_tenants_open_no_gateway_that_says_whose_it_is(seller, foreign, beside):
    sandbox, key = foreign
    for edge, named in (
        (beside(keys_of=seller.tenant.slug.upper()), {}),
        (beside(keys_of=str(seller.tenant.pk)), {"x_tenant_id": sandbox.slug}),
        (beside(), {"x_tenant_id": seller.tenant.slug}),
    ):
        assert edge.authorize()[0] == 200
        status, _, answer = edge.authorize(authorization=key, **named)
        assert (status, answer["code"]) == (403, "FORBIDDEN")
        body = {"customerId": "mine", "featureKey": "x"}
        assert edge.ask("/v1/canAccess", body, authorization=key, **named)[0] == 403
    assert beside(keys_of=seller.tenant.slug).authorize(x_tenant_id=sandbox.slug)[0] == 403


def test_a_tenant_with_capitals_in_its_slug_is_named_in_any_letters(
    seller, beside, gateway, settings
):
    seller.tenant.slug = "AcmeTwo"  # as new ones are not any more
    seller.tenant.save()
    publishing.sync_tenant(seller.tenant, now=NOW)
    publish_entries()
    settings.INTERNAL_LISTENER = True
    body = {"customerId": "cust_1", "featureKey": "calls"}
    for name in ("AcmeTwo", "acmetwo", "ACMETWO"):
        assert beside(keys_of=name).authorize()[0] == 200
        assert beside(tenant=name).authorize(authorization="")[0] == 200
        assert beside().authorize(x_tenant_id=name)[0] == 200
        headers = {"X-Tenant-Id": name}
        assert gateway.ask("/v1/canAccess", body, **headers).status_code == 200
        assert gateway.ask("/v1/canAccess", body, Authorization="", **headers).status_code == 200


def test_an_edge_is_of_one_tenant_by_its_keys_or_without_any():
    needed = {"REDIS_URL": "redis://r", "SECRET_KEY": "s", "AFORO_EDGE_KEYS_OF": "acme"}
    assert Options.read(needed).keys_of == "acme"
    with pytest.raises(Misconfigured):
        Options.read(needed | {"AFORO_EDGE_TENANT": "acme"})


def test_while_keys_cannot_be_read_their_form_and_the_tenant_of_the_gateway_decide(
    seller, beside, monkeypatch
):
    pinned, free = beside(keys_of=seller.tenant.slug), beside(stale_seconds=0.0)
    pin = {"x_tenant_id": seller.tenant.slug}

    def told():
        answers = [pinned.authorize(authorization=INVENTED)[0]]
        answers += [free.authorize(authorization=INVENTED, **named)[0] for named in (pin, {})]
        for edge in (pinned, free):
            assert [edge.authorize(authorization=one)[0] for one in FORMLESS] == [401] * 4
        return answers

    assert told() == [401] * 3
    valkey.client().delete(ENTRIES_WHOLE)  # nobody writes keys
    assert told() == [503] * 3
    seller.tenant.access_fallback = "CLOSED"
    seller.tenant.save()
    publish_entries()
    for edge in (pinned, free):
        edge.edge._memory.tenants.clear()  # five minutes later
    valkey.client().delete(ENTRIES_WHOLE)
    assert told() == [403, 403, 503]
    answer = pinned.authorize(authorization=INVENTED)[2]
    assert answer["code"] == "UNAVAILABLE"

    for edge in (pinned, free):
        edge.edge._memory.tenants.clear()
        assert edge.authorize(**pin)[0] == 200  # which tells what the tenant wants
    monkeypatch.setattr(line.Line, "_asked", _refuse)
    assert told() == [403, 403, 503]
    assert free.authorize(**pin)[0] == 403  # its key is older than was agreed


def _refuse(self, question):
    raise line.Away


def test_every_metering_key_that_is_drawn_has_the_form_of_one():
    for prefix in (plaintext.LIVE, plaintext.TEST):
        assert all(is_possible_key(plaintext.draw(prefix)) for _ in range(50))
    assert not is_possible_key(plaintext.draw(plaintext.OPERATOR))
