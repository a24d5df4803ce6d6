"""Serializers whose fields are written snake_case here and camelCase on the wire."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from aforo.spelling import on_the_wire


class _OnTheWire:
    """Renames the fields; what was validated comes back under the names of the code."""

    def get_fields(self) -> dict[str, serializers.Field]:
        fields: dict[str, serializers.Field] = super().get_fields()  # type: ignore[misc]  # a mixin
        return {on_the_wire(name): _sourced(field, name) for name, field in fields.items()}


class WireSerializer(_OnTheWire, serializers.Serializer):
    """Input, or an answer that is not one row."""


class StrictSerializer(WireSerializer):
    """Input that says what is acted upon: a criterion with a misspelt name would choose more."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = data.keys() - self.fields.keys() if isinstance(data, Mapping) else set()
        if unknown:
            said = [ErrorDetail("there is no such field", code="unknown")]
            raise ValidationError({str(name): said for name in sorted(unknown)})
        return super().to_internal_value(data)


class WireModelSerializer(_OnTheWire, serializers.ModelSerializer):
    """One row as it is answered; `Meta.fields` are the names of the model."""


def _sourced(field: serializers.Field, name: str) -> serializers.Field:
    if isinstance(field, serializers.SerializerMethodField):
        field.method_name = field.method_name or f"get_{name}"
    elif field.source is None and on_the_wire(name) != name:
        field.source = name
    return field
