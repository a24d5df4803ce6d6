"""`metricConfigs` of a rate plan: what clients write about a metric, as a unit and its terms.

Clients send one flat shape for all models, with zeros and nulls for what a model does not know.
Such a term is left out where it says nothing; one that would change a price is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from django.db.models import Q
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireSerializer
from aforo.errors import Refused, Unreadable
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from catalog.api.fields import ExactField, missing
from catalog.models import BillableUnit, UnitPrice
from catalog.pricing import MODELS
from catalog.selectors import listings
from catalog.services.prices import PriceDraft

DEFAULT_MODEL = "PER_UNIT"
MODEL_NAMES = list(MODELS)
MOST_CONFIGS = 500
_NO_TERMS = frozenset({"metricId", "metricName", "model", "billingTiming", "terms", "pricingModel"})
_SAYS_NOTHING: tuple[object, ...] = (None, "", "0", 0, False, [], {}, "CHARGE")
# Where a model calls `rate` by another name.
_RATE = {"FLAT_RATE": "flatRate", "PERCENTAGE": "ratePercent"}
# What clients leave out: the money of a flat plan is its base fee, and a quota may be nothing.
_ABSENT = {"FLAT_RATE": {"flatRate": 0}, "INCLUDED_QUOTA": {"includedFree": 0}}


class TierSerializer(WireSerializer):
    tier_start = ExactField(required=False)
    tier_end = ExactField(help_text="inclusive; -1 for no end")
    unit_price = ExactField(required=False)
    rate_percent = ExactField(required=False)
    flat_fee = ExactField(required=False)
    sort_order = serializers.IntegerField(required=False)


class MetricConfig(WireSerializer):
    """Documents one price; `docs/pricing.md` says which terms each model takes."""

    metric_id = serializers.UUIDField(required=False, help_text="or metricName")
    metric_name = serializers.CharField(required=False)
    model = serializers.ChoiceField(MODEL_NAMES, default=DEFAULT_MODEL)
    rate = ExactField(required=False)
    included_free = ExactField(required=False)
    block_size = ExactField(required=False)
    min_fee = ExactField(required=False)
    tiers = TierSerializer(many=True, required=False)
    ov_behavior = serializers.ChoiceField(["CHARGE", "BLOCK", "IGNORE"], default="CHARGE")
    billing_timing = serializers.ChoiceField(UnitPrice.Timing.choices, default="ARREARS")
    terms = serializers.DictField(required=False, help_text="model and terms, instead of the above")


@extend_schema_field(MetricConfig(many=True))
class MetricConfigsField(serializers.ListField):
    child = serializers.DictField()
    max_length = MOST_CONFIGS


def price_drafts(tenant: Tenant, configs: Sequence[Mapping[str, Any]]) -> list[PriceDraft]:
    """The prices that `configs` write down.

    Raises NotFound for a metric that is not the tenant's, Unreadable for one that is named twice.
    """
    units = _units(tenant, configs)
    _require_each_once(units)
    return [
        PriceDraft(
            unit=unit,
            terms=terms_of(config, path=f"metricConfigs[{index}]"),
            timing=config.get("billingTiming") or UnitPrice.Timing.ARREARS,
            path=f"metricConfigs[{index}]",
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
    return {
        "metricId": str(price.unit_id),
        "metricName": price.unit.name,
        "billingTiming": price.timing,
        **price.terms,
        "terms": price.terms,
    }


def _own_terms(model: str) -> set[str]:
    """The terms that a model knows, as they are written on the wire."""
    if model not in MODELS:
        return set()
    terms = fields(MODELS[model])  # type: ignore[arg-type]  # every model is a dataclass
    return {on_the_wire(term.name) for term in terms if term.init}


def _terms_given(
    terms: object, model: object, flat: Mapping[str, object], *, path: str
) -> dict[str, object]:
    if not isinstance(terms, Mapping):
        raise _refused(f"{path}.terms", "must be an object")
    for key, value in flat.items():
        if value not in _SAYS_NOTHING:
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


def _require_each_once(units: Iterable[BillableUnit]) -> None:
    seen = set()
    for index, unit in enumerate(units):
        if unit.pk in seen:
            reason = f"'{unit.name}' is priced twice"
            raise Unreadable.naming(f"metricConfigs[{index}]", "DUPLICATE", reason)
        seen.add(unit.pk)


def _refused(field: str, reason: str) -> Refused:
    return Refused.naming(field, "INVALID", reason)
