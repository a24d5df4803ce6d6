"""Prices of a draft: terms are checked when they are written, and again when they are published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aforo.errors import Refused
from catalog.models import BillableUnit, RatePlanVersion, UnitPrice
from catalog.pricing import InvalidTerms, parse_terms
from catalog.services import changes


@dataclass(frozen=True, slots=True)
class PriceDraft:
    """What one unit is to cost. `path` is where the sender wrote it: refusals point there."""

    unit: BillableUnit
    terms: Mapping[str, object]
    timing: str = UnitPrice.Timing.ARREARS
    path: str = "prices"


def replace_prices(version: RatePlanVersion, drafts: Sequence[PriceDraft]) -> None:
    """Make `drafts` the prices of a locked draft version, in their order."""
    changes.require_own(version.tenant_id, *(draft.unit for draft in drafts))
    _require_each_unit_once(drafts)
    rows = [
        UnitPrice(
            tenant_id=version.tenant_id,
            version=version,
            unit=draft.unit,
            terms=canonical(draft.terms, path=draft.path),
            timing=_timing(draft),
            position=position,
        )
        for position, draft in enumerate(drafts)
    ]
    UnitPrice.objects.for_tenant(version.tenant_id).filter(version=version).delete()
    UnitPrice.objects.bulk_create(rows)


def require_sound_prices(version: RatePlanVersion) -> None:
    """Refuse a version whose terms contradict themselves or price what is no longer counted."""
    for price in price_rows(version):
        if price.unit.archived_at is not None:
            raise Refused(f"{version} prices '{price.unit}', which is archived")
        canonical(price.terms, path=f"prices[{price.position}]")


def price_rows(version: RatePlanVersion) -> Sequence[UnitPrice]:
    """The prices of `version` in their order, each with its unit."""
    rows = UnitPrice.objects.for_tenant(version.tenant_id).filter(version=version)
    return list(rows.select_related("unit").order_by("position", "id"))


def shown(version: RatePlanVersion) -> dict[str, object]:
    """The prices of `version` as the audit log compares them: terms by unit."""
    return {f"price of {price.unit}": price.terms for price in price_rows(version)}


def canonical(terms: Mapping[str, object], *, path: str = "") -> dict[str, object]:
    """`terms` in the one spelling that is stored; Refused names the field that is wrong."""
    try:
        return parse_terms(terms).as_dict()
    except InvalidTerms as error:
        field = f"{path}.{error.field}" if path else error.field
        raise Refused.naming(field, "INVALID_TERMS", error.reason) from error


def _timing(draft: PriceDraft) -> str:
    if draft.timing not in UnitPrice.Timing:
        known = ", ".join(UnitPrice.Timing)
        raise changes.refused(f"{draft.path}.billingTiming", "INVALID", f"must be one of {known}")
    return draft.timing


def _require_each_unit_once(drafts: Sequence[PriceDraft]) -> None:
    seen = set()
    for draft in drafts:
        if draft.unit.pk in seen:
            raise changes.refused(draft.path, "DUPLICATE", f"'{draft.unit}' is priced twice")
        seen.add(draft.unit.pk)
