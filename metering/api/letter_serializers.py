"""Dead letters on the wire."""

from decimal import Decimal
from typing import Any

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import StrictSerializer, WireModelSerializer, WireSerializer
from catalog.api.fields import ExactField
from catalog.models.products import ProductType
from metering.models import DeadLetter, LetterDecision
from metering.refusals import mend_for
from metering.selectors.letters import Chosen

_WORD = 63  # bits
MOST_IDS = 10_000  # letters named one by one in a decision
_encoder = msgspec.json.Encoder(decimal_format="number")


@extend_schema_field(OpenApiTypes.OBJECT)
class EventField(serializers.Field):
    """An event's own JSON: an object, or its text. Every digit of a number is kept."""

    def to_internal_value(self, data: Any) -> bytes:
        return data.encode() if isinstance(data, str) else _encoder.encode(_exact(data))

    def to_representation(self, value: Any) -> Any:
        return value


def _exact(value: Any) -> Any:
    """`value` with integers that no machine word holds as Decimals, which keep each digit too."""
    match value:
        case dict():
            return {name: _exact(member) for name, member in value.items()}
        case list():
            return [_exact(member) for member in value]
        case int() if value.bit_length() > _WORD:
            return Decimal(value)
        case _:
            return value


class DeadLetterSerializer(WireModelSerializer):
    """A letter as lists show it: without the event."""

    mend = serializers.SerializerMethodField(help_text="what helps, in a sentence")

    class Meta:
        model = DeadLetter
        fields: tuple[str, ...] = (
            "id",
            "code",
            "detail",
            "mend",
            "status",
            "occurrences",
            "metric",
            "customer",
            "source",
            "batch_id",
            "batch_index",
            "received_at",
            "last_seen_at",
            "decided_at",
            "decided_by",
            "reason",
            "replay_batch_id",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_mend(self, letter: DeadLetter) -> str:
        return mend_for(letter.code)


class WholeDeadLetterSerializer(DeadLetterSerializer):
    """A letter with its event as it was kept, and what is sent instead."""

    event = serializers.SerializerMethodField(help_text="the event's own JSON, as text")
    edited = serializers.SerializerMethodField(help_text="what a replay sends instead, as text")

    class Meta(DeadLetterSerializer.Meta):
        fields = (*DeadLetterSerializer.Meta.fields, "event", "edited")
        read_only_fields = fields

    def get_event(self, letter: DeadLetter) -> str:
        return bytes(letter.event).decode(errors="replace")

    def get_edited(self, letter: DeadLetter) -> str | None:
        return None if letter.edited is None else bytes(letter.edited).decode(errors="replace")


class LetterEdit(WireSerializer):
    event = EventField(help_text="the whole event that is sent instead")
    reason = serializers.CharField(required=False, allow_blank=True, max_length=2_000)


class LetterReplay(WireSerializer):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=2_000)


class LetterDiscard(WireSerializer):
    reason = serializers.CharField(max_length=2_000, help_text="why these will not be counted")


class ChosenLetters(LetterReplay, StrictSerializer):
    """Which open letters: all that meet every criterion given, of which there must be one."""

    ids = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=MOST_IDS)
    code = serializers.CharField(required=False, max_length=40)
    metric = serializers.CharField(required=False, max_length=400, allow_blank=True)
    customer = serializers.CharField(required=False, max_length=400, allow_blank=True)
    source = serializers.CharField(required=False, max_length=16)  # type: ignore[assignment]  # a field, not the option
    received_from = serializers.DateTimeField(required=False)
    received_until = serializers.DateTimeField(required=False, help_text="not included")


class LettersToDiscard(ChosenLetters):
    reason = serializers.CharField(max_length=2_000, help_text="why these will not be counted")


def chosen_of(asked: dict[str, Any]) -> Chosen:
    """The criteria of a request; its reason is none."""
    given = {name: value for name, value in asked.items() if name != "reason"}
    return Chosen(**{**given, "ids": tuple(given.get("ids", ()))})


class LetterDecisionSerializer(WireModelSerializer):
    """Counts are of what is done by now; `finishedAt` is null while there is more to do."""

    class Meta:
        model = LetterDecision
        fields: tuple[str, ...] = (
            "id",
            "act",
            "chosen",
            "reason",
            "decided_by",
            "decided_at",
            "letters",
            "events",
            "batches",
            "finished_at",
        )
        read_only_fields: tuple[str, ...] = fields


class LetterGroupSerializer(WireSerializer):
    code = serializers.CharField()
    metric = serializers.CharField()
    mend = serializers.CharField(help_text="what helps, in a sentence")
    letters = serializers.IntegerField()
    events = serializers.IntegerField(help_text="as they came: a letter may stand for several")
    first_received_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()


class LetterSummarySerializer(WireSerializer):
    letters = serializers.IntegerField(help_text="open ones")
    events = serializers.IntegerField(help_text="that they stand for")
    groups = LetterGroupSerializer(many=True)


class UnitFromLetters(LetterReplay):
    metric = serializers.CharField(max_length=200, help_text="as the refused events name it")
    name = serializers.CharField(max_length=200, required=False, help_text="by default the metric")
    aggregation = serializers.CharField(required=False)
    event_field = serializers.CharField(max_length=200, allow_blank=True, required=False)
    unit_label = serializers.CharField(max_length=40, allow_blank=True, required=False)
    description = serializers.CharField(allow_blank=True, required=False)
    unit_cost = ExactField(required=False)
    product_type = serializers.ChoiceField(ProductType.choices, required=False)


class UnitMade(LetterDecisionSerializer):
    """The decision that replays its events, with the unit that was made."""

    unit_id = serializers.UUIDField()

    class Meta(LetterDecisionSerializer.Meta):
        fields = ("unit_id", *LetterDecisionSerializer.Meta.fields)
        read_only_fields = fields
