"""Lists as form fields: rows that can be added, removed and reordered, and words between commas."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict
from django.utils.safestring import SafeString
from unfold.widgets import INPUT_CLASSES, UnfoldAdminTextInputWidget

from catalog.conditions import OPERATORS, InvalidConditions, compile_conditions

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of rows: a text, or one of some choices."""

    name: str
    label: str
    choices: tuple[str, ...] = ()


class RowsTable(forms.Widget):
    """Rows of some columns; one without any text counts as none."""

    def __init__(self, *columns: Column) -> None:
        super().__init__()
        self.columns = columns

    def value_from_datadict(
        self, data: Mapping[str, Any], files: MultiValueDict[str, Any], name: str
    ) -> list[Row]:
        """The rows as they were typed."""
        lists = [_list(data, f"{name}-{column.name}") for column in self.columns]
        rows = [tuple(text.strip() for text in row) for row in zip(*lists, strict=False)]
        return [row for row in rows if self._says_something(row)]

    def value_omitted_from_data(
        self, data: Mapping[str, Any], files: MultiValueDict[str, Any], name: str
    ) -> bool:
        return f"{name}-{self.columns[0].name}" not in data

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        rows: list[Row] = [*(value or ()), tuple("" for _ in self.columns)]
        return render_to_string(
            "catalog/rows_table.html",
            {
                "name": name,
                "id": (attrs or {}).get("id", f"id_{name}"),
                "classes": " ".join(INPUT_CLASSES),
                "columns": self.columns,
                "rows": [list(zip(self.columns, row, strict=True)) for row in rows],
            },
        )

    def _says_something(self, row: Row) -> bool:
        """Whether any of it was typed: what stands in a list of choices was not."""
        cells = zip(self.columns, row, strict=True)
        return any(text for column, text in cells if not column.choices)


class ConditionsField(forms.Field):
    """Filter conditions: a field, an operator and a value in each row, all of which must hold."""

    widget = RowsTable(
        Column("field", "Field"),
        Column("operator", "Operator", tuple(OPERATORS)),
        Column("value", "Value"),
    )

    def prepare_value(self, value: Any) -> list[Row]:
        return [
            (row["field"], row["operator"], row["value"]) if isinstance(row, Mapping) else row
            for row in value or ()
        ]

    def clean(self, value: Any) -> list[dict[str, str]]:
        said = [
            dict(zip(("field", "operator", "value"), row, strict=True))
            for row in super().clean(value) or ()
        ]
        try:
            compile_conditions(said)
        except InvalidConditions as error:
            raise ValidationError(f"{error.field}: {error.reason}") from error
        return said

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial) != self.prepare_value(data)


class MultipliersField(forms.Field):
    """A multiplier per value of a metadata key."""

    widget = RowsTable(Column("value", "Value of the key"), Column("multiplier", "Multiplier"))

    def prepare_value(self, value: Any) -> list[Row]:
        if isinstance(value, Mapping):
            return [(str(key), str(multiplier)) for key, multiplier in value.items()]
        return list(value or ())

    def clean(self, value: Any) -> dict[str, str]:
        rows = super().clean(value) or ()
        said = dict(rows)
        if len(said) != len(rows):
            raise ValidationError("a value has one multiplier")
        return said

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial) != self.prepare_value(data)


class PairsField(forms.Field):
    """Names and values: texts. What else was stored under a name stays while it is not touched."""

    widget = RowsTable(Column("name", "Name"), Column("value", "Value"))
    stored: Mapping[str, Any] = {}

    def prepare_value(self, value: Any) -> list[Row]:
        if isinstance(value, Mapping):
            return [(str(name), _text_of(one)) for name, one in value.items()]
        return list(value or ())

    def clean(self, value: Any) -> dict[str, Any]:
        rows = super().clean(value) or ()
        said = dict(rows)
        if len(said) != len(rows):
            raise ValidationError("a name has one value")
        return {name: self._as_stored(name, text) for name, text in said.items()}

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial) != self.prepare_value(data)

    def _as_stored(self, name: str, text: str) -> Any:
        known = self.stored.get(name, text)
        return known if _text_of(known) == text else text


class WordsField(forms.CharField):
    """Names between commas, as a list."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> str:
        return ", ".join(value) if isinstance(value, list | tuple) else str(value or "")

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return list(value)
        return [word.strip() for word in str(value or "").split(",") if word.strip()]

    def has_changed(self, initial: Sequence[str] | None, data: Any) -> bool:
        said: list[str] = self.to_python(data)
        return list(initial or ()) != said

    def run_validators(self, value: Any) -> None:
        """Each name for itself."""
        for word in value:
            super().run_validators(word)


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _list(data: Mapping[str, Any], key: str) -> list[str]:
    return data.getlist(key) if isinstance(data, MultiValueDict) else [str(data.get(key, ""))]
