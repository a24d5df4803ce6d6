"""Keys that seal may change, and no secret is lost."""

from datetime import timedelta

import pytest
from django.utils import timezone

from aforo.tenancy.services.actors import Actor
from tests.factories import TenantFactory, WebhookSourceFactory
from tests.webhooks.conftest import Sender
from webhooks.services.secrets import reseal_all, rotate_secret, secrets_of

SECRET = [b"whsec_test"]


@pytest.mark.django_db
def test_secrets_move_to_a_new_key_and_need_the_old_one_no_more(settings):
    sources = [WebhookSourceFactory(tenant=TenantFactory()) for _ in range(2)]
    old = settings.SECRET_KEY
    settings.SEALING_KEYS = ["the next one"]
    assert reseal_all() == 2
    assert reseal_all() == 0

    settings.SECRET_KEY = "another"
    for source in sources:
        source.refresh_from_db()
        assert secrets_of(source, now=timezone.now()) == SECRET
    settings.SEALING_KEYS = ["the one after", "the next one"]
    assert reseal_all() == 2
    settings.SEALING_KEYS = []
    settings.SECRET_KEY = old
    sources[0].refresh_from_db()
    assert secrets_of(sources[0], now=timezone.now()) == []


def test_a_secret_that_does_not_open_holds_up_nobody_and_another_one_heals_it(settings, seller):
    settings.SEALING_KEYS = ["lost"]
    source = WebhookSourceFactory(tenant=seller.tenant)
    settings.SEALING_KEYS = ["old"]
    other = WebhookSourceFactory(tenant=TenantFactory())
    settings.SEALING_KEYS = ["new", "old"]
    assert reseal_all() == 1
    settings.SEALING_KEYS = ["new"]
    other.refresh_from_db()
    assert secrets_of(other, now=timezone.now()) == SECRET

    sender = Sender(source, seller.client)
    assert sender.push({}).status_code == 503  # nobody is told that its signature were wrong
    now = timezone.now()
    rotate_secret(
        source=source,
        actor=Actor.system("test"),
        now=now,
        secret="whsec_the_next_one",
        old_until=now + timedelta(days=1),
    )
    assert sender.push({}, secret=b"whsec_the_next_one").status_code == 202
    assert sender.push({}).status_code == 401
