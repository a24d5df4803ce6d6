"""What became of each event of an accepted request, for whoever sent it."""

from typing import cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireSerializer
from aforo.api.views import AnyKeyAPIView
from aforo.errors import NotFound
from aforo.tenancy.models import ApiKey, Tenant
from catalog.selectors.key_customers import may_ask_about
from metering.selectors.batches import COUNTS, BatchFate, batch_fate
from metering.selectors.uploads import key_of_batch
from metering.uploads.checking import SOURCE


class RefusedEvent(WireSerializer):
    index = serializers.IntegerField(help_text="its place in the request")
    code = serializers.CharField(help_text="why it was not counted; stable")


class Batch(WireSerializer):
    """Counts are in events as they came, and null while the batch is pending."""

    batch_id = serializers.UUIDField()
    status = serializers.ChoiceField(["PENDING", "DONE"])
    source = serializers.CharField()  # type: ignore[assignment]  # a field, not the option
    received_at = serializers.DateTimeField(help_text="on the tenant's clock")
    drained_at = serializers.DateTimeField(allow_null=True)
    events = serializers.IntegerField()
    counted = serializers.IntegerField(allow_null=True)
    unbilled = serializers.IntegerField(allow_null=True)
    duplicates = serializers.IntegerField(allow_null=True)
    dead = serializers.IntegerField(allow_null=True)
    held = serializers.IntegerField(allow_null=True)
    errors = RefusedEvent(many=True)  # type: ignore[assignment]  # likewise


class IngestBatch(AnyKeyAPIView):
    """One batch, asked for with a metering or an operator key of its tenant.

    A subscription's key finds what keys of its customer sent.
    """

    @extend_schema(responses=Batch)
    def get(self, request: Request, batch_id: UUID) -> Response:
        key = cast(ApiKey, request.auth)
        fate = batch_fate(tenant=key.tenant, batch_id=batch_id)
        if fate is None or not may_ask_about(key, sent_with=_sent_with(key.tenant, fate)):
            raise NotFound(f"there is no batch {batch_id} here")
        return Response(
            {
                "batchId": str(fate.batch_id),
                "status": fate.status,
                "source": fate.source,
                "receivedAt": fate.received_at,
                "drainedAt": fate.drained_at,
                "events": fate.events,
                **{name: fate.counts.get(name) for name in COUNTS},
                "errors": [{"index": index, "code": code} for index, code in fate.refusals],
            }
        )


def _sent_with(tenant: Tenant, fate: BatchFate) -> UUID | None:
    """The key that a batch came with, or the file that it is of; None: it came from ourselves."""
    if fate.api_key_id is not None or fate.source != SOURCE:
        return fate.api_key_id
    return key_of_batch(tenant=tenant, batch_id=fate.batch_id, received_at=fate.received_at)
