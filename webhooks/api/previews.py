"""Trying a mapping over HTTP: nothing of it is kept."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.views import TenantAPIView
from aforo.tenancy.roles import EVERYONE
from webhooks import selectors
from webhooks.api.mapping_fields import MappingPreview, MappingPreviewRequest, rules_in
from webhooks.api.sources import WebhookSourceSerializer
from webhooks.services import previews


class WebhookSourcePreview(TenantAPIView):
    """What payloads would become."""

    selector = selectors.webhook_sources
    serializer_class = WebhookSourceSerializer
    write_roles = EVERYONE  # it writes nothing
    replays_answers = False

    @extend_schema(request=MappingPreviewRequest, responses=MappingPreview)
    def post(self, request: Request, **path: Any) -> Response:
        """What a payload, or the latest pushes, would become by these rules or the source's own."""
        source = self.get_object()
        asked = self.read(MappingPreviewRequest, may_be_empty=True)
        rules = rules_in(asked["mappings"]) if "mappings" in asked else None
        if "payload" in asked:
            found = previews.preview(
                source=source,
                payload=asked["payload"],
                event_type=asked.get("event_type", ""),
                rules=rules,
            )
        else:
            found = previews.preview_latest(source=source, count=asked["latest"], rules=rules)
        return entity_response(MappingPreview({"content": found}).data)
