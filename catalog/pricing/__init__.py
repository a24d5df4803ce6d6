"""Pricing: terms turn the usage of a period into charges, exactly, with no database and no clock.

Amounts are not rounded here; an invoice line rounds once.
"""

from collections.abc import Mapping

from catalog.pricing.dimensioned import dimensioned, multiplied
from catalog.pricing.dynamic import Dynamic
from catalog.pricing.flat_rate import FlatRate
from catalog.pricing.free import FREE
from catalog.pricing.graduated import Graduated
from catalog.pricing.graduated_percentage import GraduatedPercentage
from catalog.pricing.included_quota import IncludedQuota
from catalog.pricing.matrix import Matrix
from catalog.pricing.measured import measured
from catalog.pricing.parts import parts_from_json, parts_to_json
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.percentage_per_transaction import KEYS, PercentagePerTransaction
from catalog.pricing.stairstep import Stairstep
from catalog.pricing.terms import Charge, InvalidPart, Part, Terms, Usage, usage_of
from catalog.pricing.volume_tiered import VolumeTiered
from catalog.pricing.wire import InvalidTerms, WireObject
from catalog.pricing.wrapped import Credited

__all__ = [
    "FREE",
    "MODELS",
    "SAID_BESIDE",
    "Charge",
    "InvalidPart",
    "InvalidTerms",
    "Part",
    "Terms",
    "Usage",
    "parse_terms",
    "parts_from_json",
    "parts_to_json",
    "usage_of",
]

MODELS: dict[str, type[Terms]] = {
    terms.model: terms
    for terms in (
        PerUnit,
        FlatRate,
        Percentage,
        IncludedQuota,
        Graduated,
        VolumeTiered,
        Stairstep,
        Matrix,
        GraduatedPercentage,
        Dynamic,
    )
}

SAID_BESIDE = (
    "divideBy",
    "rounding",
    "roundingPlaces",
    "groupBy",
    "dimensionKey",
    "dimensionPricing",
    "multiplier",
    "creditsAllowed",
)
"""What stands beside a model in published terms: of the unit, of the version, of the price."""


def parse_terms(mapping: Mapping[str, object], *, credits_allowed: bool = False) -> Terms:
    """Terms from `{"model": ..., **terms in their wire form}`; None is the same as an absent key.

    Numbers are int, str or Decimal with at most 26 digits before the point and 12 after it. Beside
    those of the model, the keys of `SAID_BESIDE` may stand.
    Raises InvalidTerms, which names the field, for anything missing, unknown or contradictory, and
    for money below zero unless `credits_allowed`, by the caller or by the terms themselves.
    """
    credited = mapping.get("creditsAllowed") is True
    wire = WireObject(mapping, credits_allowed=credits_allowed or credited)
    model = wire.choice("model", MODELS)
    per_transaction = model == PercentagePerTransaction.model and wire.has(*KEYS)
    terms = (PercentagePerTransaction if per_transaction else MODELS[model]).parse(wire)
    terms = measured(terms, wire)
    terms = dimensioned(multiplied(terms, wire), wire)
    if wire.flag("creditsAllowed"):
        terms = Credited(terms)
    wire.refuse_unread(model)
    return terms
