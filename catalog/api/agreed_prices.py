"""Phases and `prices` of a contract: what clients write about metrics, as units and their terms."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q

from aforo.errors import Refused
from aforo.tenancy.models import Tenant
from catalog.api.fields import missing
from catalog.api.metric_configs import terms_of
from catalog.models import BillableUnit
from catalog.pricing.wire import InvalidTerms, WireObject
from catalog.selectors import listings
from catalog.services.contract_prices import AgreedPriceDraft
from catalog.services.contract_terms import PhaseDraft

_Config = Mapping[str, Any]
_NAMES_IT = frozenset({"metricId", "metricName"})


def phase_drafts(tenant: Tenant, phases: Sequence[Mapping[str, Any]]) -> list[PhaseDraft]:
    """The phases that a body writes down, with units found in one statement.

    Raises NotFound for a metric that is not the tenant's.
    """
    units = _units(tenant, [config for phase in phases for config in phase["prices"]])
    return [
        PhaseDraft(
            **{field: value for field, value in phase.items() if field != "prices"},
            prices=[
                _price(config, units, path=f"phases[{number}].prices[{index}]")
                for index, config in enumerate(phase["prices"])
            ],
            path=f"phases[{number}]",
        )
        for number, phase in enumerate(phases)
    ]


def _units(tenant: Tenant, configs: Sequence[_Config]) -> dict[object, BillableUnit]:
    """Units by their id and by their name."""
    ids = {_id(config) for config in configs} - {None}
    names = {str(config["metricName"]) for config in configs if config.get("metricName")}
    if not ids and not names:
        return {}
    rows = listings.billable_units(tenant=tenant).filter(Q(pk__in=ids) | Q(name__in=names))
    units = list(rows.prefetch_related(None))
    return {unit.name: unit for unit in units} | {unit.pk: unit for unit in units}


def _price(config: _Config, units: Mapping[object, BillableUnit], *, path: str) -> AgreedPriceDraft:
    unit = _unit(config, units, path=path)
    said = {key for key, value in config.items() if value is not None} - _NAMES_IT
    if said == {"includedFree"}:
        allowance = _allowance(config, path=path)
        return AgreedPriceDraft(unit, included_free=allowance, path=path)
    if not said:
        raise Refused.naming(path, "REQUIRED", "a model and its terms, or includedFree alone")
    return AgreedPriceDraft(unit, terms_of(config, path=path), path=path)


def _unit(config: _Config, units: Mapping[object, BillableUnit], *, path: str) -> BillableUnit:
    given, name = config.get("metricId"), config.get("metricName")
    if given is None and not name:
        reason = "a metricId or a metricName is required"
        raise Refused.naming(f"{path}.metricId", "REQUIRED", reason)
    unit = units.get(_id(config)) if given is not None else units.get(str(name))
    if unit is None:
        field = "metricName" if given is None else "metricId"
        raise missing(f"{path}.{field}", name if given is None else given)
    return unit


def _id(config: _Config) -> UUID | None:
    try:
        return UUID(str(config["metricId"])) if config.get("metricId") is not None else None
    except ValueError:
        return None


def _allowance(config: _Config, *, path: str) -> Decimal:
    try:
        return WireObject(config).quantity("includedFree")
    except InvalidTerms as error:
        raise Refused.naming(f"{path}.{error.field}", "INVALID_TERMS", error.reason) from error
