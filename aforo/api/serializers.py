"""Serializers whose fields are written snake_case here and camelCase on the wire."""

from rest_framework import serializers

from aforo.spelling import on_the_wire


class _OnTheWire:
    """Renames the fields; what was validated comes back under the names of the code."""

    def get_fields(self) -> dict[str, serializers.Field]:
        fields: dict[str, serializers.Field] = super().get_fields()  # type: ignore[misc]  # a mixin
        return {on_the_wire(name): _sourced(field, name) for name, field in fields.items()}


class WireSerializer(_OnTheWire, serializers.Serializer):
    """Input, or an answer that is not one row."""


class WireModelSerializer(_OnTheWire, serializers.ModelSerializer):
    """One row as it is answered; `Meta.fields` are the names of the model."""


def _sourced(field: serializers.Field, name: str) -> serializers.Field:
    if isinstance(field, serializers.SerializerMethodField):
        field.method_name = field.method_name or f"get_{name}"
    elif field.source is None and on_the_wire(name) != name:
        field.source = name
    return field
