"""Fields that the catalog's serializers share: exact numbers, free JSON, other rows by their id."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.errors import NotFound
from aforo.money import plain

_ENCODER = msgspec.json.Encoder(decimal_format="number")


@extend_schema_field(OpenApiTypes.STR)
class ExactField(serializers.DecimalField):
    """An exact number, by default money or a rate: a JSON number or text in, plain text out."""

    def __init__(self, **kwargs: Any) -> None:
        digits = {"max_digits": 38, "decimal_places": 12}
        super().__init__(**(digits | kwargs))

    def to_representation(self, value: Decimal) -> str:
        return plain(value)


class FreeJSONField(serializers.DictField):
    """An object of anything, kept for the sender: its numbers are no money."""

    def to_internal_value(self, data: Any) -> Any:
        members = super().to_internal_value(data)
        return json.loads(_ENCODER.encode(members))


def found(rows: QuerySet[Any], row_id: UUID, *, field: str) -> Any:
    """The one of the tenant's `rows` with this id; NotFound, for somebody else's too."""
    row = rows.filter(pk=row_id).first()
    if row is None:
        raise missing(field, row_id)
    return row


def found_all(rows: QuerySet[Any], ids: list[UUID], *, field: str) -> list[Any]:
    """The tenant's rows with these ids, in their order; NotFound names the first that is not."""
    by_id: Mapping[UUID, Any] = rows.in_bulk(ids)
    for index, row_id in enumerate(ids):
        if row_id not in by_id:
            raise missing(f"{field}[{index}]", row_id)
    return [by_id[row_id] for row_id in ids]


def missing(field: str, value: object) -> NotFound:
    """What `field` names is not there, or somebody else's."""
    return NotFound.naming(field, "NOT_FOUND", f"there is none with '{value}'")
