"""Pricing: terms turn the usage of a period into charges, exactly, with no database and no clock.

Amounts are not rounded here; an invoice line rounds once.
"""

from collections.abc import Mapping

from catalog.pricing.flat_rate import FlatRate
from catalog.pricing.graduated import Graduated
from catalog.pricing.graduated_percentage import GraduatedPercentage
from catalog.pricing.included_quota import IncludedQuota
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.stairstep import Stairstep
from catalog.pricing.terms import Charge, Part, Terms, Usage, usage_of
from catalog.pricing.volume_tiered import VolumeTiered
from catalog.pricing.wire import InvalidTerms, WireObject

__all__ = [
    "MODELS",
    "Charge",
    "InvalidTerms",
    "Part",
    "Terms",
    "Usage",
    "parse_terms",
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
        GraduatedPercentage,
    )
}


def parse_terms(mapping: Mapping[str, object], *, credits_allowed: bool = False) -> Terms:
    """Terms from `{"model": ..., **terms in their wire form}`; None is the same as an absent key.

    Numbers are int, str or Decimal with at most 26 digits before the point and 12 after it.
    Raises InvalidTerms, which names the field, for anything missing, unknown or contradictory, and
    for money below zero unless `credits_allowed`.
    """
    wire = WireObject(mapping, credits_allowed=credits_allowed)
    model = wire.choice("model", MODELS)
    terms = MODELS[model].parse(wire)
    wire.refuse_unread(model)
    return terms
