"""Secrets of endpoints follow the sealing keys; one that cannot be opened holds up nobody."""

from tests.factories import NOW, WebhookEndpointFactory
from webhooks.models import WebhookEndpoint
from webhooks.outbound.endpoint_secrets import replace_secret, reseal_all, valid_secrets
from webhooks.outbound.signing import new_secret


def test_secrets_are_sealed_anew_with_the_key_of_today(tenant, settings):
    endpoint, broken = WebhookEndpointFactory.create_batch(2, tenant=tenant)
    first, secret = endpoint.secret, new_secret()
    replace_secret(endpoint, secret, now=NOW)
    endpoint.save()
    WebhookEndpoint.objects.filter(pk=broken.pk).update(sealed_secret=b"x" * 60)

    settings.SEALING_KEYS = ["the key of today"]
    assert (reseal_all(), reseal_all()) == (1, 0)
    settings.SECRET_KEY = "another, by which nothing opens"
    endpoint.refresh_from_db()
    assert list(valid_secrets(endpoint, now=NOW)) == [secret, first]
