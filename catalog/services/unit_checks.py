"""What a billable unit may say of itself, and what it may no longer change."""

from collections.abc import Mapping
from typing import Any

from aforo.errors import Conflict
from aforo.money import DIVISION_PLACES, ZERO
from catalog.conditions import InvalidConditions, compile_conditions
from catalog.models import BillableUnit, RatePlanVersion, UnitPrice
from catalog.models.billable_units import Aggregation
from catalog.services import changes

MEASURES = frozenset({"divide_by", "rounding", "rounding_places", "recurring"})
# What can be held over the end of a period: not a count of that period's events, nor an average.
LEVELS = frozenset(
    {
        Aggregation.SUM,
        Aggregation.MAX,
        Aggregation.UNIQUE,
        Aggregation.LATEST,
        Aggregation.WEIGHTED_SUM,
    }
)


def require_sound(unit: BillableUnit) -> None:
    """Refuse a unit that contradicts itself, naming the field."""
    changes.require_valid(unit)
    if unit.aggregation == Aggregation.UNIQUE and not unit.event_field:
        raise changes.refused(
            "eventField", "REQUIRED", "UNIQUE counts the values of a field: name it"
        )
    if unit.unit_cost < ZERO:
        raise changes.refused("unitCost", "INVALID", "must not be negative")
    _require_measures(unit)
    _require_names("allowedSources", unit.allowed_sources, longest=16)
    _require_names("keyFields", unit.key_fields, longest=200)
    try:
        compile_conditions(unit.filter_conditions)
    except InvalidConditions as error:
        raise changes.refused(error.field, "INVALID", error.reason) from error


def require_kept(unit: BillableUnit, edits: Mapping[str, object]) -> None:
    """Conflict when `edits` change what prices of the unit were made with."""
    changed = {field for field, value in edits.items() if getattr(unit, field, value) != value}
    prices = UnitPrice.objects.for_tenant(unit.tenant_id).filter(unit=unit)
    if "aggregation" in changed and prices.exists():
        raise Conflict(f"billable unit '{unit}' is priced by a rate plan: its aggregation stays")
    published = prices.filter(version__status=RatePlanVersion.Status.PUBLISHED)
    if changed & MEASURES and published.exists():
        fixed = ", ".join(sorted(changed & MEASURES))
        raise Conflict(
            f"billable unit '{unit}' is priced by a published rate plan: its {fixed} stays"
        )


def _require_measures(unit: BillableUnit) -> None:
    if unit.divide_by <= ZERO:
        raise changes.refused("divideBy", "INVALID", "must be above 0")
    if unit.rounding_places > DIVISION_PLACES:
        raise changes.refused("roundingPlaces", "INVALID", f"must be at most {DIVISION_PLACES}")
    if unit.rounding_places and not unit.rounding:
        raise changes.refused("roundingPlaces", "INVALID", "says nothing without rounding")
    if unit.recurring and unit.aggregation not in LEVELS:
        known = ", ".join(sorted(LEVELS))
        raise changes.refused("recurring", "INVALID", f"only a level can recur: {known}")


def _require_names(field: str, names: Any, *, longest: int) -> None:
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or not all(0 < len(name) <= longest and "\0" not in name for name in names):
        raise changes.refused(field, "INVALID", f"a list of names of 1 to {longest} characters")
    if len(set(names)) != len(names):
        raise changes.refused(field, "INVALID", "names each only once")
