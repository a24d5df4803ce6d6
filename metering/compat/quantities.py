"""How much one foreign event counts: elsewhere the meter names the field, here the unit does."""

import re
from collections.abc import Mapping

import msgspec

from metering.ingest.events import Refusal

# Per metric whose units sum, or take the largest, of something: the fields that they name.
# Absent is a metric that only counts events or distinct values, or that nobody knows.
ValueFields = Mapping[str, frozenset[str]]
Fields = Mapping[str, msgspec.Raw]

ONE = msgspec.Raw(b"1")
_COMMON_NAMES = ("quantity", "value")
_NUMBER = re.compile(rb'"?[-+]?[0-9.][0-9.eE+-]*"?')


def quantity_of(metric: str, fields: Fields, value_fields: ValueFields) -> msgspec.Raw | Refusal:
    """The field that the metric's unit names, else `quantity`, else `value`, else 1.

    A unit that names a field which is not there is refused: 1 would be a wrong sum.
    """
    named = value_fields.get(metric)
    common = next((fields[name] for name in _COMMON_NAMES if name in fields), None)
    if named is None:  # the number of events is counted, or something else that is no number
        return common if common is not None and _NUMBER.fullmatch(bytes(common)) else ONE
    if len(named) == 1:
        (name,) = named
        if name in fields:
            return fields[name]
    if common is not None:
        return common
    if not named:
        return ONE
    return Refusal("MISSING_FIELD", f"{metric!r} takes its quantity from {_listed(named)}")


def _listed(names: frozenset[str]) -> str:
    shown = " or ".join(repr(name) for name in sorted(names))
    return shown if len(names) == 1 else f"{shown}: send the one that counts as 'quantity'"
