"""What a version asks for beside its prices: fees, when they are due, and what multiplies usage."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypedDict

from aforo.money import ZERO, plain
from aforo.spelling import on_the_wire
from catalog.models import RatePlanVersion
from catalog.pricing import InvalidTerms
from catalog.pricing.wire import WireObject
from catalog.services import changes

VERSION_FIELDS = (
    "base_fee",
    "base_fee_timing",
    "setup_fee",
    "minimum_spend",
    "maximum_spend",
    "discount_percent",
    "discount_amount",
    "proration",
    "dimension_key",
    "dimension_pricing",
    "credits_allowed",
)
"""What can be said of a version beside its prices, in the order in which it is shown."""
VERSION_EDITABLE = frozenset(VERSION_FIELDS)
FEES = VERSION_EDITABLE - {
    "base_fee_timing",
    "proration",
    "dimension_key",
    "dimension_pricing",
    "credits_allowed",
}
_WHOLE = Decimal(100)


class VersionTerms(TypedDict, total=False):
    """What can be said of a version when it is created, as its columns are named."""

    base_fee: Decimal
    setup_fee: Decimal
    minimum_spend: Decimal
    maximum_spend: Decimal | None
    discount_percent: Decimal
    discount_amount: Decimal
    base_fee_timing: str
    proration: str
    dimension_key: str
    dimension_pricing: Mapping[str, object]
    credits_allowed: bool


def settle(version: RatePlanVersion) -> None:
    """Put the terms of a draft into the one spelling that is stored; Refused names the field."""
    version.dimension_pricing = _canonical_multipliers(version)
    changes.require_valid(version)
    for field in sorted(FEES):
        if (getattr(version, field) or ZERO) < ZERO:
            raise changes.refused(on_the_wire(field), "INVALID", "must not be negative")
    if version.discount_percent > _WHOLE:
        raise changes.refused("discountPercent", "INVALID", "must be at most 100")
    require_range(version.minimum_spend, version.maximum_spend, field="maximumSpend")


def require_range(least: Decimal, most: Decimal | None, *, field: str) -> None:
    """Refuse a maximum spend below the minimum."""
    if most is not None and most < least:
        raise changes.refused(field, "INVALID", f"must not be below the minimum, {plain(least)}")


def _canonical_multipliers(version: RatePlanVersion) -> dict[str, str]:
    wire = WireObject(
        {"dimensionPricing": version.dimension_pricing or None},
        credits_allowed=version.credits_allowed,
    )
    try:
        multipliers = wire.rates("dimensionPricing")
    except InvalidTerms as error:
        raise changes.refused(error.field, "INVALID", error.reason) from error
    return {value: plain(multiplier) for value, multiplier in multipliers.items()}
