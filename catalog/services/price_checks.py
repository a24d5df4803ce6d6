"""What a price may say beside its terms: when it is due, and what of it rolls over."""

from decimal import Decimal

from aforo.money import ZERO
from catalog.models import UnitPrice
from catalog.pricing import InvalidTerms, parse_terms
from catalog.services import changes

MOST_ROLLOVER_PERIODS = 120
_WHOLE = Decimal(100)


def require_timing(price: UnitPrice, *, path: str) -> None:
    """Refuse to bill in advance what nobody knows in advance."""
    if price.timing not in UnitPrice.Timing:
        known = ", ".join(UnitPrice.Timing)
        raise changes.refused(f"{path}.billingTiming", "INVALID", f"must be one of {known}")
    if price.timing == UnitPrice.Timing.ADVANCE and price.terms["model"] != "FLAT_RATE":
        reason = "only a FLAT_RATE is known in advance"
        raise changes.refused(f"{path}.billingTiming", "INVALID", reason)


def require_rollover(price: UnitPrice, *, path: str) -> None:
    """Refuse rollover where nothing is included, and caps where nothing rolls over."""
    for field, cap in (
        ("rolloverCap", price.rollover_cap),
        ("rolloverCapPercent", price.rollover_cap_percent),
    ):
        if cap is not None and cap < ZERO:
            raise changes.refused(f"{path}.{field}", "INVALID", "must not be negative")
        if cap is not None and not price.rollover_periods:
            raise changes.refused(f"{path}.{field}", "INVALID", "says nothing without rollover")
    if (price.rollover_cap_percent or ZERO) > _WHOLE:
        raise changes.refused(f"{path}.rolloverCapPercent", "INVALID", "must be at most 100")
    if not price.rollover_periods:
        return
    if not 0 < price.rollover_periods <= MOST_ROLLOVER_PERIODS:
        reason = f"must be at most {MOST_ROLLOVER_PERIODS}"
        raise changes.refused(f"{path}.rolloverPeriods", "INVALID", reason)
    if not _takes_allowance(price):
        reason = f"{price.terms['model']} has no allowance that could roll over"
        raise changes.refused(f"{path}.rolloverPeriods", "INVALID", reason)


def require_included(price: UnitPrice, *, path: str) -> None:
    """Refuse a rollover of nothing: what a plan includes none of leaves none over."""
    if price.rollover_periods and not price.currency:
        terms = parse_terms(price.terms, credits_allowed=True)
        if terms.included_free == ZERO:
            reason = "includes no units that could roll over: includedFree is 0"
            raise changes.refused(f"{path}.rolloverPeriods", "INVALID", reason)


def _takes_allowance(price: UnitPrice) -> bool:
    terms = parse_terms(price.terms, credits_allowed=True)
    try:
        terms.with_allowance(ZERO)
    except InvalidTerms:
        return False
    return True
