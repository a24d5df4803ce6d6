"""Keys that seal may change, and no secret is lost."""

import pytest
from django.utils import timezone

from aforo.sealing import Unsealable
from tests.factories import TenantFactory, WebhookSourceFactory
from webhooks.services.secrets import reseal_all, secrets_of

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
    with pytest.raises(Unsealable):
        secrets_of(sources[0], now=timezone.now())
