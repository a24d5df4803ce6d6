"""Rules of a source on the wire: how payloads become events."""

from typing import Any

from rest_framework import serializers

from aforo.api.serializers import StrictSerializer, WireSerializer
from catalog.api.fields import ExactField
from webhooks.inbound.rules import Rule
from webhooks.services.mappings import MOST_RULES

_LONGEST = 400
_DIGITS = {"max_digits": 36, "decimal_places": 12}


def _expression(help_text: str) -> serializers.CharField:
    return serializers.CharField(
        max_length=_LONGEST, required=False, allow_blank=True, help_text=help_text
    )


class WebhookMappingSerializer(StrictSerializer):
    """A path begins with `$` (in the payload) or `@` (in the item); anything else is itself."""

    event_types = serializers.ListField(
        child=serializers.CharField(max_length=200),
        max_length=100,
        required=False,
        help_text="`*` stands for anything; empty: all that the source lets pass",
    )
    items = _expression("JSONPath to a list: one event for each of its items")
    customer = _expression("path or text")
    customer_default = serializers.CharField(max_length=200, required=False, allow_blank=True)
    metric = _expression("path or text; empty: that of the source")
    metric_default = serializers.CharField(max_length=200, required=False, allow_blank=True)
    quantity = _expression("path or number; empty: 1")
    quantity_default = ExactField(**_DIGITS, required=False, allow_null=True)
    quantity_scale = ExactField(**_DIGITS, required=False, help_text="0.01 makes units of cents")
    occurred_at = _expression("JSONPath; empty: when the push came")
    event_key = _expression("JSONPath to what makes an event the same")
    metadata = serializers.DictField(
        child=serializers.CharField(max_length=_LONGEST, allow_blank=True),
        required=False,
        help_text="paths or texts, by name",
    )


def rules_in(asked: list[dict[str, Any]]) -> list[Rule]:
    """Rules as they were asked for."""
    return [Rule(**{**one, "event_types": tuple(one.get("event_types", ()))}) for one in asked]


class PayloadField(serializers.JSONField):
    """A payload with its numbers as they are spelled: the parser has judged them."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class MappingPreviewRequest(WireSerializer):
    payload = PayloadField(
        required=False, help_text="one, or an array of them; absent: the latest pushes"
    )
    event_type = serializers.CharField(
        required=False, allow_blank=True, max_length=400, help_text="where a header says it"
    )
    latest = serializers.IntegerField(
        required=False, min_value=1, max_value=50, default=10, help_text="so many pushes"
    )
    mappings = serializers.ListField(
        child=WebhookMappingSerializer(),
        required=False,
        max_length=MOST_RULES,
        help_text="instead of the source's own",
    )


class PreviewedError(WireSerializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class PreviewedPayload(WireSerializer):
    delivery_id = serializers.UUIDField(allow_null=True, help_text="of one of the latest pushes")
    event_type = serializers.CharField()
    verdict = serializers.CharField(help_text="what the push would be")
    events = serializers.ListField(
        child=serializers.DictField(), help_text="as the ingest routes would take them"
    )
    error = PreviewedError(allow_null=True, source="why")


class MappingPreview(WireSerializer):
    content = PreviewedPayload(many=True)
