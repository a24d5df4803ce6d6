"""The pricing preview over HTTP: what usage would cost under some terms. Nothing is stored."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
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
from catalog.pricing import InvalidTerms, Part, Terms, Usage, parse_terms

MOST_EVENTS = 10_000


class PreviewedEvent(WireSerializer):
    quantity = ExactField(max_digits=36, min_value=ZERO)
    amount = ExactField(required=False, help_text="money that the event brings along")


class Preview(WireSerializer):
    """Either a quantity, or events one by one (each of them a transaction)."""

    model = serializers.ChoiceField(MODEL_NAMES, required=False, help_text="or in terms")
    terms = serializers.DictField()
    quantity = ExactField(max_digits=36, min_value=ZERO, required=False)
    events = serializers.ListField(
        child=PreviewedEvent(), required=False, max_length=MOST_EVENTS, allow_empty=True
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("quantity" in attrs) is ("events" in attrs):
            fault = FieldError("quantity", "REQUIRED", "send either a quantity or events")
            raise Refused(fault.message, errors=(fault,))
        return attrs


class ChargeSerializer(WireSerializer):
    label = serializers.CharField()  # type: ignore[assignment]  # a name on the wire, not the attribute
    quantity = ExactField()
    unit_price = ExactField(allow_null=True)
    amount = ExactField()


class Previewed(WireSerializer):
    amount = ExactField()
    lines = ChargeSerializer(many=True)
    marginals = serializers.ListField(
        child=ExactField(), help_text="what each event adds, when events were sent"
    )
    terms = serializers.DictField(help_text="in the spelling that is stored")


class PricingPreview(TenantAPIView):
    """Pricing without anything being bought."""

    serializer_class = Previewed
    write_roles = EVERYONE  # it writes nothing
    replays_answers = False

    @extend_schema(request=Preview)
    def post(self, request: Request) -> Response:
        """The exact amount, not rounded, and the lines that it is made of."""
        asked = self.read(Preview)
        terms = _terms(asked["terms"], asked.get("model"))
        usages = list(_usages(terms, asked.get("events", [])))
        usage = asked["quantity"] if "quantity" in asked else usages[-1]
        answer = {
            "amount": terms.charge(usage),
            "lines": terms.charges(usage),
            "marginals": _marginals(terms, usages),
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


def _usages(terms: Terms, events: Sequence[dict[str, Decimal]]) -> Iterator[Usage]:
    """The usage before the first event, and after each."""
    usage = Usage(ZERO)
    yield usage
    for event in events:
        usage = terms.add(usage, Part(event["quantity"], amount=event.get("amount")))
        yield usage


def _marginals(terms: Terms, usages: Sequence[Usage]) -> list[str]:
    return [plain(terms.marginal(before, after)) for before, after in pairwise(usages)]
