"""The pricing preview over HTTP: what usage would cost under some terms. Nothing is stored."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from aforo.errors import FieldError, Refused
from aforo.money import ZERO, plain
from aforo.tenancy.roles import EVERYONE
from catalog.api.fields import ExactField
from catalog.api.metric_config_shapes import MODEL_NAMES
from catalog.pricing import Charge, InvalidTerms, Terms, parse_terms
from catalog.pricing.curve import Point, curve
from catalog.pricing.dimensions import label_of
from catalog.pricing.preview import (
    InvalidEvent,
    Previewed,
    PreviewedEvent,
    charge_at,
    preview_events,
    preview_quantity,
)

MOST_EVENTS = 10_000


class EventToPreview(WireSerializer):
    quantity = ExactField(max_digits=36, min_value=ZERO)
    amount = ExactField(
        required=False, help_text="money that the event brings along, or in its metadata"
    )
    metadata = serializers.DictField(
        default=dict, help_text="what matrices, groups and multipliers look at"
    )


class Preview(WireSerializer):
    """A quantity, or events one by one (each of them a transaction), or a curve alone."""

    model = serializers.ChoiceField(MODEL_NAMES, required=False, help_text="or in terms")
    terms = serializers.DictField(
        help_text="of the model; groupBy, dimensionKey, dimensionPricing, divideBy, rounding and"
        " roundingPlaces may stand beside"
    )
    quantity = ExactField(max_digits=36, min_value=ZERO, required=False)
    metadata = serializers.DictField(
        default=dict, help_text="of all of the quantity, and of the curve"
    )
    events = serializers.ListField(
        child=EventToPreview(), required=False, max_length=MOST_EVENTS, allow_empty=True
    )
    up_to = ExactField(
        max_digits=36, required=False, help_text="asks for the curve, from 0 to this quantity"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "quantity" not in attrs and "events" not in attrs and "up_to" in attrs:
            attrs["quantity"] = attrs["up_to"]
        if ("quantity" in attrs) is ("events" in attrs):
            fault = FieldError("quantity", "REQUIRED", "send either a quantity or events")
            raise Refused(fault.message, errors=(fault,))
        if "up_to" in attrs and attrs["up_to"] <= ZERO:
            raise Refused.naming("upTo", "INVALID", "must be above 0")
        return attrs


class ChargeSerializer(WireSerializer):
    label = serializers.CharField()  # type: ignore[assignment]  # a name on the wire, not the attribute
    quantity = ExactField()
    unit_price = ExactField(allow_null=True)
    amount = ExactField()
    dimension = serializers.CharField(help_text="whose total it is, where there are several")


class PointSerializer(WireSerializer):
    quantity = ExactField()
    amount = ExactField()
    marginal = ExactField(help_text="what the last unit adds")
    average = ExactField(allow_null=True, help_text="per unit; null for nothing")


class PreviewAnswer(WireSerializer):
    amount = ExactField()
    lines = ChargeSerializer(many=True)
    marginals = serializers.ListField(
        child=ExactField(), help_text="what each event adds, when events were sent"
    )
    curve = PointSerializer(many=True, help_text="when upTo was sent")
    terms = serializers.DictField(help_text="in the spelling that is stored")


class PricingPreview(TenantAPIView):
    """Pricing without anything being bought."""

    serializer_class = PreviewAnswer
    write_roles = EVERYONE  # it writes nothing
    replays_answers = False

    @extend_schema(request=Preview)
    def post(self, request: Request) -> Response:
        """The exact amount, not rounded, the lines that it is made of, and the price curve."""
        asked = self.read(Preview)
        terms = _terms(asked["terms"], asked.get("model"))
        previewed = _previewed(terms, asked)
        answer = {
            "amount": previewed.amount,
            "lines": [_line(dimension, charge) for dimension, charge in previewed.lines],
            "marginals": [plain(marginal) for marginal in previewed.marginals],
            "curve": _curve(terms, asked),
            "terms": terms.as_dict(),
        }
        return entity_response(self.get_serializer(answer).data)


def _terms(terms: dict[str, object], model: str | None) -> Terms:
    named = terms if model is None else {**terms, "model": model}
    try:
        return parse_terms(named)
    except InvalidTerms as error:
        field = "model" if error.field == "model" else f"terms.{error.field}"
        raise Refused.naming(field, "INVALID_TERMS", error.reason) from error


def _previewed(terms: Terms, asked: dict[str, Any]) -> Previewed:
    if "quantity" in asked:
        return preview_quantity(terms, asked["quantity"], asked["metadata"])
    events = [
        PreviewedEvent(event["quantity"], event["metadata"], event.get("amount"))
        for event in asked["events"]
    ]
    try:
        return preview_events(terms, events)
    except InvalidEvent as error:
        field = f"events[{error.index}].metadata.{error.field}"
        raise Refused.naming(field, "INVALID", error.reason) from error


def _line(dimension: str, charge: Charge) -> dict[str, object]:
    return {
        "label": charge.label,
        "quantity": charge.quantity,
        "unit_price": charge.unit_price,
        "amount": charge.amount,
        "dimension": label_of(dimension),
    }


def _curve(terms: Terms, asked: dict[str, Any]) -> tuple[Point, ...]:
    if "up_to" not in asked:
        return ()
    charge = charge_at(terms, asked["metadata"])
    return curve(charge, bounds=terms.bounds, up_to=asked["up_to"])
