"""Fields that billing's serializers share."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.money import minor_units, plain


@extend_schema_field(OpenApiTypes.STR)
class AmountField(serializers.Field):
    """A rounded amount of a row as text, with all minor units of the row's currency: "63.00"."""

    def __init__(self, column: str, *, currency: str = "currency") -> None:
        super().__init__(source="*", read_only=True)
        self._column, self._currency = column, currency

    def to_representation(self, row: Any) -> str:
        currency = row
        for name in self._currency.split("."):
            currency = getattr(currency, name)
        return f"{getattr(row, self._column):.{minor_units(str(currency))}f}"


@extend_schema_field(OpenApiTypes.STR)
class PlainField(serializers.Field):
    """An exact number as text, without exponent or trailing zeros."""

    def to_representation(self, value: Decimal) -> str:
        return plain(value)


@extend_schema_field(OpenApiTypes.STR)
class DigestField(serializers.Field):
    """Bytes of a digest in hexadecimal."""

    def to_representation(self, value: bytes | memoryview) -> str:
        return bytes(value).hex()


def named(value: str, *, by: str, prefix: str = "") -> Q:
    """Rows whose id is `value`, or whose column `by` is; none by an id that is no id."""
    same = Q() if by == "id" else Q((f"{prefix}{by}", value))
    try:
        return same | Q((f"{prefix}id", UUID(value)))
    except ValueError:
        return same or Q(pk__in=())
