"""Terms of a price as form fields: a model, its numbers, and its tiers as rows of a table.

Without scripts all fields are there and those of other models are passed over.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.utils.safestring import SafeString
from unfold.widgets import INPUT_CLASSES

from catalog.pricing import InvalidTerms, parse_terms

_TIERED = frozenset({"GRADUATED", "VOLUME_TIERED", "GRADUATED_PERCENTAGE"})
MODEL_NAMES = {
    "PER_UNIT": "Per unit: one rate",
    "GRADUATED": "Graduated: each tier at its own price",
    "VOLUME_TIERED": "Volume: all units at the price of the tier reached",
    "STAIRSTEP": "Stairstep: one price for each step",
    "INCLUDED_QUOTA": "Included quota: free up to it, then by unit or block",
    "FLAT_RATE": "Flat rate: an amount per period",
    "PERCENTAGE": "Percentage of an amount",
    "GRADUATED_PERCENTAGE": "Graduated percentage: each tier at its own percent",
    "MATRIX": "Matrix: a rate by values of metadata",
    "DYNAMIC": "Dynamic: each event brings its amount",
}
# The numbers that a model may take, by their names on the wire, and what they are called here.
NUMBERS: dict[str, tuple[str, frozenset[str]]] = {
    "rate": ("Rate per unit, or per block", frozenset({"PER_UNIT", "INCLUDED_QUOTA"})),
    "includedFree": ("Included units", frozenset({"PER_UNIT", "INCLUDED_QUOTA"})),
    "blockSize": ("Units per block", frozenset({"INCLUDED_QUOTA"})),
    "flatRate": ("Amount per period", frozenset({"FLAT_RATE"})),
    "ratePercent": ("Percent", frozenset({"PERCENTAGE"})),
    "minFee": ("At least, per period", frozenset({"PERCENTAGE"})),
    "maxFee": ("At most, per period", frozenset({"PERCENTAGE"})),
    "fixedFee": ("Fee per transaction", frozenset({"PERCENTAGE"})),
    "freeTransactions": ("Free transactions", frozenset({"PERCENTAGE"})),
    "freeAmount": ("Free amount", frozenset({"PERCENTAGE"})),
    "minPerTransaction": ("At least, per transaction", frozenset({"PERCENTAGE"})),
    "maxPerTransaction": ("At most, per transaction", frozenset({"PERCENTAGE"})),
    "overageRate": ("Rate above the last step", frozenset({"STAIRSTEP"})),
    "defaultRate": ("Rate of all other cells", frozenset({"MATRIX"})),
    "amountField": ("Metadata key of the amount", frozenset({"DYNAMIC"})),
    "markupPercent": ("Markup in percent", frozenset({"DYNAMIC"})),
}
_PRICE_KEYS = {"GRADUATED_PERCENTAGE": "ratePercent", "STAIRSTEP": "price"}
_COLUMN_NAMES = {
    "tierEnd": "up to",
    "unitPrice": "price per unit",
    "ratePercent": "percent",
    "flatFee": "fee",
}
_COLUMNS = ("end", "price", "fee")
_CELL_COLUMNS = ("value1", "value2", "value3", "cellRate")
_OVERAGE = (("CHARGE", "is charged"), ("BLOCK", "is denied"), ("IGNORE", "is counted, not charged"))


class TermsTable(forms.Widget):
    """A model, its numbers, and rows that can be added, removed and reordered."""

    def value_from_datadict(
        self, data: Mapping[str, Any], files: Mapping[str, Any], name: str
    ) -> dict[str, object] | None:
        """Terms in wire form as they were typed; None without a model."""
        model = data.get(f"{name}-model")
        if not model:
            return None
        terms: dict[str, object] = {"model": model}
        for key, (_, models) in NUMBERS.items():
            if model in models and data.get(f"{name}-{key}"):
                terms[key] = data[f"{name}-{key}"].strip()
        if model == "INCLUDED_QUOTA" and data.get(f"{name}-ovBehavior"):
            terms["ovBehavior"] = data[f"{name}-ovBehavior"]
        if model in _TIERED and data.get(f"{name}-billZeroTier"):
            terms["billZeroTier"] = True
        return terms | _rows_said(str(model), data, name)

    def value_omitted_from_data(
        self, data: Mapping[str, Any], files: Mapping[str, Any], name: str
    ) -> bool:
        return f"{name}-model" not in data

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        terms: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        dimensions = list(terms.get("dimensions", ()))
        return render_to_string(
            "catalog/terms_table.html",
            {
                "name": name,
                "id": (attrs or {}).get("id", f"id_{name}"),
                "classes": " ".join(INPUT_CLASSES),
                "panel": reverse("admin:catalog_price_panel"),
                "is_required": self.is_required,
                "model": terms.get("model", ""),
                "models": MODEL_NAMES.items(),
                "numbers": [
                    (key, label, " ".join(sorted(models)), terms.get(key, ""))
                    for key, (label, models) in NUMBERS.items()
                ],
                "overage": _OVERAGE,
                "ov_behavior": terms.get("ovBehavior", "CHARGE"),
                "bill_zero_tier": terms.get("billZeroTier", False),
                "rows": [*_rows_of(terms), ("", "", "")],
                "dimensions": [*dimensions, "", "", ""][:3],
                "cells": [*_cells_of(terms, dimensions), ("", "", "", "")],
            },
        )


class TermsField(forms.Field):
    """Terms in their one spelling; None where no model is chosen."""

    widget = TermsTable

    def clean(self, value: Any) -> dict[str, object] | None:
        said = super().clean(value)
        if said is None:
            return None
        try:
            return parse_terms(said).as_dict()
        except InvalidTerms as error:
            raise ValidationError(f"{place_of(error.field)}: {error.reason}") from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return (initial or None) != (data and parse_terms(data).as_dict())
        except InvalidTerms:
            return True


def _rows_said(model: str, data: Mapping[str, Any], name: str) -> dict[str, object]:
    """Tiers, steps or cells as they stand in the table, without the rows that are empty."""
    if model == "MATRIX":
        return _cells_said(data, name)
    if model not in _TIERED and model != "STAIRSTEP":
        return {}
    price = _PRICE_KEYS.get(model, "unitPrice")
    rows = [row for row in _table(data, name, _COLUMNS) if any(row)]
    if model == "STAIRSTEP":
        return {"steps": [_without_blanks({"tierEnd": row[0], price: row[1]}) for row in rows]}
    return {
        "tiers": [
            _without_blanks({"tierEnd": row[0] or "-1", price: row[1], "flatFee": row[2]})
            for row in rows
        ]
    }


def _cells_said(data: Mapping[str, Any], name: str) -> dict[str, object]:
    dimensions = [text.strip() for text in _list(data, f"{name}-dimension") if text.strip()]
    rows = [row for row in _table(data, name, _CELL_COLUMNS) if any(row)]
    return {
        "dimensions": dimensions,
        "cells": [
            _without_blanks(
                {"values": {key: row[index] or "*" for index, key in enumerate(dimensions)}}
                | {"rate": row[-1]}
            )
            for row in rows
        ],
    }


def _table(data: Mapping[str, Any], name: str, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The rows of columns that were sent side by side."""
    lists = [_list(data, f"{name}-{column}") for column in columns]
    return [tuple(text.strip() for text in row) for row in zip(*lists, strict=False)]


def _list(data: Mapping[str, Any], key: str) -> list[str]:
    return data.getlist(key) if isinstance(data, MultiValueDict) else [str(data.get(key, ""))]


def _without_blanks(row: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if value != ""}


def _rows_of(terms: Mapping[str, Any]) -> list[tuple[object, object, object]]:
    """Tiers or steps as rows of the table; an open end is an empty field."""
    price = _PRICE_KEYS.get(str(terms.get("model")), "unitPrice")
    return [
        (
            "" if str(row.get("tierEnd")) == "-1" else row.get("tierEnd", ""),
            row.get(price, ""),
            row.get("flatFee", ""),
        )
        for row in [*terms.get("tiers", ()), *terms.get("steps", ())]
    ]


def _cells_of(terms: Mapping[str, Any], dimensions: list[str]) -> list[tuple[object, ...]]:
    rows = []
    for cell in terms.get("cells", ()):
        values = [cell.get("values", {}).get(key, "") for key in dimensions]
        rows.append((*[*values, "", "", ""][:3], cell.get("rate", "")))
    return rows


def place_of(field: str) -> str:
    """`tiers[0].unitPrice` as somebody reads it who sees a table."""
    head, bracket, rest = field.partition("[")
    if bracket:
        number, _, column = rest.partition("]")
        label, key = f"{head[:-1]} {int(number) + 1}", column.lstrip(".")
        return f"{label}, {_COLUMN_NAMES.get(key, key)}" if key else label
    return NUMBERS[field][0] if field in NUMBERS else field
