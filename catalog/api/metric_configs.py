"""`metricConfigs` of a rate plan: what clients write about a metric, as a unit and its terms.

Clients send one flat shape for all models, with zeros and nulls for what a model does not know.
Such a term is left out where it says nothing; one that would change a price is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import Q

from aforo.errors import Refused, Unreadable
from aforo.money import plain
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from catalog.api.fields import missing
from catalog.api.metric_config_shapes import DEFAULT_MODEL, BesideTerms
from catalog.models import BillableUnit, UnitPrice
from catalog.pricing import MODELS
from catalog.pricing.percentage_per_transaction import PercentagePerTransaction
from catalog.selectors import listings
from catalog.services.prices import PriceDraft
from catalog.services.whole_terms import bare

_BESIDE = frozenset({"currency", "groupBy", "rolloverPeriods", "rolloverCap", "rolloverCapPercent"})
_NO_TERMS = frozenset({"metricId", "metricName", "model", "billingTiming", "terms", "pricingModel"})
_SAYS_NOTHING: tuple[object, ...] = (None, "", "0", 0, False, [], {}, "CHARGE")
# Where a model calls `rate` by another name.
_RATE = {"FLAT_RATE": "flatRate", "PERCENTAGE": "ratePercent"}
# A model that is priced in another way too, with other terms.
_OTHER_WAYS = {PercentagePerTransaction.model: (PercentagePerTransaction,)}
# What clients leave out: the money of a flat plan is its base fee, and a quota may be nothing.
_ABSENT = {"FLAT_RATE": {"flatRate": 0}, "INCLUDED_QUOTA": {"includedFree": 0}}


def price_drafts(tenant: Tenant, configs: Sequence[Mapping[str, Any]]) -> list[PriceDraft]:
    """The prices that `configs` write down.

    Raises NotFound for a metric that is not the tenant's, Unreadable for one that is named twice.
    """
    units = _units(tenant, configs)
    _require_each_once(units, configs)
    return [
        PriceDraft(
            unit=unit,
            terms=terms_of(_without_beside(config), path=f"metricConfigs[{index}]"),
            timing=config.get("billingTiming") or UnitPrice.Timing.ARREARS,
            path=f"metricConfigs[{index}]",
            **_beside(config, path=f"metricConfigs[{index}]"),
        )
        for index, (config, unit) in enumerate(zip(configs, units, strict=True))
    ]


def terms_of(config: Mapping[str, Any], *, path: str) -> dict[str, object]:
    """`{"model": ..., **terms}` of one config, whichever way it is written."""
    flat = {key: value for key, value in config.items() if key not in _NO_TERMS}
    terms = config.get("terms")
    if terms is not None:
        return _terms_given(terms, config.get("model"), flat, path=path)
    model = str(config.get("model") or DEFAULT_MODEL)
    renamed = _RATE.get(model)
    if renamed is not None and flat.get(renamed) is None:
        flat[renamed] = flat.pop("rate", None)
    for key, value in _ABSENT.get(model, {}).items():
        flat[key] = value if flat.get(key) is None else flat[key]
    own = _own_terms(model)
    kept = {key: value for key, value in flat.items() if key in own or value not in _SAYS_NOTHING}
    return {"model": model, **kept}


def config_of(price: UnitPrice) -> dict[str, object]:
    """One price as it is answered: flat as clients write it, and its terms in one piece."""
    terms = bare(price.terms)
    return {
        "metricId": str(price.unit_id),
        "metricName": price.unit.name,
        "billingTiming": price.timing,
        "groupBy": price.group_by,
        "rolloverPeriods": price.rollover_periods,
        "rolloverCap": _plain(price.rollover_cap),
        "rolloverCapPercent": _plain(price.rollover_cap_percent),
        "currency": price.currency or None,
        **terms,
        "terms": terms,
    }


def _own_terms(model: str) -> set[str]:
    """The terms that a model knows, as they are written on the wire."""
    if model not in MODELS:
        return set()
    ways = [MODELS[model], *_OTHER_WAYS.get(model, ())]
    terms = chain.from_iterable(fields(way) for way in ways)
    return {on_the_wire(term.name) for term in terms if term.init}


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _terms_given(
    terms: object, model: object, flat: Mapping[str, object], *, path: str
) -> dict[str, object]:
    if not isinstance(terms, Mapping):
        raise _refused(f"{path}.terms", "must be an object")
    for key, value in flat.items():
        if value not in _SAYS_NOTHING and terms.get(key) != value:
            raise _refused(f"{path}.{key}", "must stand in terms, as terms is given")
    return {**({"model": model} if model is not None else {}), **terms}


def _units(tenant: Tenant, configs: Sequence[Mapping[str, Any]]) -> list[BillableUnit]:
    """The unit of each config, by id or by name, in one statement."""
    ids = {_id(config.get("metricId"), index) for index, config in enumerate(configs)}
    names = {str(config["metricName"]) for config in configs if config.get("metricName")}
    rows = listings.billable_units(tenant=tenant).filter(Q(pk__in=ids - {None}) | Q(name__in=names))
    units = list(rows.prefetch_related(None))
    by_id = {unit.pk: unit for unit in units}
    by_name = {unit.name: unit for unit in units}
    return [_unit(config, index, by_id, by_name) for index, config in enumerate(configs)]


def _unit(
    config: Mapping[str, Any],
    index: int,
    by_id: Mapping[UUID, BillableUnit],
    by_name: Mapping[str, BillableUnit],
) -> BillableUnit:
    path = f"metricConfigs[{index}]"
    name = config.get("metricName")
    unit_id = _id(config.get("metricId"), index)
    if unit_id is None and not name:
        raise _refused(f"{path}.metricId", "a metricId or a metricName is required")
    unit = by_name.get(str(name)) if unit_id is None else by_id.get(unit_id)
    if unit is None:
        field = "metricName" if unit_id is None else "metricId"
        raise missing(f"{path}.{field}", name if unit_id is None else unit_id)
    if name and unit.name != name:
        raise _refused(f"{path}.metricName", f"the metric with this metricId is '{unit.name}'")
    return unit


def _id(value: object, index: int) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(str(value))
    except ValueError:
        raise missing(f"metricConfigs[{index}].metricId", value) from None


def _without_beside(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _BESIDE}


def _beside(config: Mapping[str, Any], *, path: str) -> dict[str, Any]:
    """What a config says beside its terms; Refused names the field."""
    read = BesideTerms(data={key: config[key] for key in _BESIDE if config.get(key) is not None})
    if read.is_valid():
        found: dict[str, Any] = dict(read.validated_data)
        return found
    field, messages = next(iter(read.errors.items()))
    first = messages[0] if isinstance(messages, list) else next(iter(messages.values()))[0]
    raise _refused(f"{path}.{field}", str(first))


def _require_each_once(units: Iterable[BillableUnit], configs: Sequence[Mapping[str, Any]]) -> None:
    seen = set()
    for index, (unit, config) in enumerate(zip(units, configs, strict=True)):
        once = (unit.pk, str(config.get("currency") or ""))
        if once in seen:
            reason = f"'{unit.name}' is priced twice"
            raise Unreadable.naming(f"metricConfigs[{index}]", "DUPLICATE", reason)
        seen.add(once)


def _refused(field: str, reason: str) -> Refused:
    return Refused.naming(field, "INVALID", reason)
