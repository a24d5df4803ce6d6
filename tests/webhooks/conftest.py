"""A seller with a webhook source, and a way to push to it."""

from dataclasses import dataclass

import msgspec
import pytest
from django.test import TestCase

from aforo import valkey
from aforo.api.rates import RATES
from tests.factories import WebhookSourceFactory
from tests.metering.conftest import fresh_process, no_wakes, redis_down, seller
from webhooks.inbound.signatures import sign

__all__ = ["fresh_process", "no_wakes", "redis_down", "seller"]


@dataclass
class Sender:
    source: object
    client: object

    @property
    def path(self):
        return f"/v1/ingest/webhook/{self.source.pk}"

    def push(self, payload, *, secret=None, path=None, **headers):
        """Push a payload, signed as senders do; `...` for a header leaves it out."""
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        timestamp = headers.get("X-Aforo-Timestamp")
        signature = sign(secret or self.source.secret, body, timestamp=timestamp)
        whole = {"X-Hub-Signature-256": f"sha256={signature}"} | headers
        with TestCase.captureOnCommitCallbacks(execute=True):
            return self.client.post(
                path or self.path,
                data=body,
                content_type="application/json",
                headers={name: value for name, value in whole.items() if value is not ...},
            )


@pytest.fixture(autouse=True)
def nothing_remembered(db):
    """Redis and the rates of this process as after a start."""
    client = valkey.client()
    for name in client.scan_iter("webhook:*"):
        client.delete(name)
    RATES._minutes.clear()


@pytest.fixture
def sender(seller):
    source = WebhookSourceFactory(
        tenant=seller.tenant,
        customer_id_path="$.customer_id",
        metric_key_path="$.metric_id",
        quantity_path="$.body.quantity",
        timestamp_path="$.event_timestamp",
    )
    return Sender(source, seller.client)
