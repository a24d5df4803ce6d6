"""Whole terms: a price as it is published, with all that its unit and its version add to it.

A draft keeps the model's terms alone; publication writes down the whole, so that a later change of
a unit never changes what a published version costs.
"""

from collections.abc import Mapping, Sequence

from aforo.money import plain
from catalog.models import BillableUnit, RatePlanVersion
from catalog.models.billable_units import Aggregation
from catalog.models.products import ProductType
from catalog.pricing import SAID_BESIDE, InvalidTerms, Terms, parse_terms
from catalog.services import changes

# Which metadata key a plan's multipliers are about where it names none.
DIMENSION_KEYS = {
    ProductType.API: "endpoint_path",
    ProductType.AI_AGENT: "capability_name",
    ProductType.MCP_SERVER: "tool_name",
    ProductType.AGENTIC_API: "endpoint_path",
}
# Of these an event adds its own, whatever came before it: what can be priced event by event.
_ADDS_UP = frozenset({Aggregation.COUNT, Aggregation.SUM})


def bare(terms: Mapping[str, object]) -> dict[str, object]:
    """`terms` as a draft keeps them: what the model says alone."""
    return {key: value for key, value in terms.items() if key not in SAID_BESIDE}


def measures_of(unit: BillableUnit) -> dict[str, object]:
    """How a unit is measured before it is priced, in the wire form of terms."""
    measures: dict[str, object] = {}
    if unit.divide_by != 1:
        measures["divideBy"] = plain(unit.divide_by)
    if unit.rounding:
        measures |= {"rounding": unit.rounding, "roundingPlaces": unit.rounding_places}
    return measures


def whole_terms(
    terms: Mapping[str, object],
    *,
    unit: BillableUnit,
    version: RatePlanVersion,
    group_by: Sequence[str] = (),
    path: str = "",
) -> dict[str, object]:
    """Terms as they are published; Refused names the field, within `path` or of the version."""
    wire = {
        **bare(terms),
        **measures_of(unit),
        **({"groupBy": list(group_by)} if group_by else {}),
        **_multipliers(version, unit, terms),
        **({"creditsAllowed": True} if version.credits_allowed else {}),
    }
    try:
        parsed = parse_terms(wire)
    except InvalidTerms as error:
        raise changes.refused(*_told(error, version, unit, path)) from error
    require_priceable(parsed, unit, path)
    return parsed.as_dict()


def _multipliers(
    version: RatePlanVersion, unit: BillableUnit, terms: Mapping[str, object]
) -> dict[str, object]:
    """What multiplies the charge of an event; a flat rate is not one."""
    if not version.dimension_pricing or terms.get("model") == "FLAT_RATE":
        return {}
    key = version.dimension_key or DIMENSION_KEYS.get(ProductType(unit.product_type))
    return {"dimensionKey": key, "dimensionPricing": version.dimension_pricing}


def _told(
    error: InvalidTerms, version: RatePlanVersion, unit: BillableUnit, path: str
) -> tuple[str, str, str]:
    """The refused field where the sender wrote it, a code, and the reason."""
    if error.field.startswith("dimension") and error.field != "dimensions":
        field = error.field if version.dimension_key else "dimensionPricing"
        return field, "INVALID_TERMS", f"for '{unit}' it {error.reason}"
    return f"{path}.{error.field}" if path else error.field, "INVALID_TERMS", error.reason


def require_priceable(terms: Terms, unit: BillableUnit, path: str) -> None:
    """Refuse to price single events of what does not add up event by event."""
    if not terms.keeps_parts:
        return
    if unit.aggregation not in _ADDS_UP:
        reason = f"prices single events, which {unit.aggregation} of '{unit}' does not add up"
        raise changes.refused(f"{path}.model", "INVALID_TERMS", reason)
    if unit.recurring:
        reason = f"prices single events, and '{unit}' recurs without any"
        raise changes.refused(f"{path}.model", "INVALID_TERMS", reason)
