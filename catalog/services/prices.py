"""Prices of a draft: terms are checked when they are written, and again when they are published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.errors import Refused
from catalog.models import BillableUnit, RatePlanVersion, UnitPrice, VersionCurrency
from catalog.pricing import SAID_BESIDE, InvalidTerms, parse_terms
from catalog.services import changes
from catalog.services.price_checks import require_included, require_rollover, require_timing
from catalog.services.whole_terms import bare, whole_terms


@dataclass(frozen=True, slots=True)
class PriceDraft:
    """What one unit is to cost. `path` is where the sender wrote it: refusals point there.

    An empty `currency` is the plan's own. A price in another one holds terms alone: timing, groups
    and rollover are those of the unit's price in the plan's own.
    """

    unit: BillableUnit
    terms: Mapping[str, object]
    timing: str = UnitPrice.Timing.ARREARS
    path: str = "prices"
    currency: str = ""
    group_by: Sequence[str] = ()
    rollover_periods: int = 0
    rollover_cap: Decimal | None = None
    rollover_cap_percent: Decimal | None = None


def replace_prices(version: RatePlanVersion, drafts: Sequence[PriceDraft]) -> None:
    """Make `drafts` the prices of a locked draft version, in their order."""
    changes.require_own(version.tenant_id, *(draft.unit for draft in drafts))
    rows = [_row(version, draft, position) for position, draft in enumerate(drafts)]
    _require_each_once(drafts, rows)
    _share_with_currencies(drafts, rows)
    for draft, row in zip(drafts, rows, strict=True):
        changes.require_valid(row)
        _whole(row, path=draft.path)
    UnitPrice.objects.for_tenant(version.tenant_id).filter(version=version).delete()
    UnitPrice.objects.bulk_create(rows)


def require_terms(version: RatePlanVersion) -> None:
    """Refuse prices that do not go with what the version itself says, or in no currency of it."""
    known = _currencies(version)
    for row in price_rows(version):
        if row.currency not in known:
            reason = f"'{row.unit}' has a price in {row.currency}, which has no fees"
            raise changes.refused("currencies", "INVALID", reason)
        _whole(row, path=f"metricConfigs[{row.position}]")


def publish_prices(version: RatePlanVersion) -> None:
    """Write down whole what a locked draft costs, just before it is published.

    Refused for terms that contradict themselves, for a unit that is no longer counted, for one that
    has no price in a currency of the version, and where nothing rolls over.
    """
    rows = price_rows(version)
    for row in rows:
        if row.unit.archived_at is not None:
            raise Refused(f"{version} prices '{row.unit}', which is archived")
        require_included(row, path=f"metricConfigs[{row.position}]")
        row.terms = _whole(row, path=f"metricConfigs[{row.position}]")
    _require_every_currency(version, rows)
    UnitPrice.objects.for_tenant(version.tenant_id).bulk_update(rows, ["terms"])


def price_rows(version: RatePlanVersion) -> Sequence[UnitPrice]:
    """The prices of `version` in their order, each with its unit."""
    rows = UnitPrice.objects.for_tenant(version.tenant_id).filter(version=version)
    return list(rows.select_related("unit", "version").order_by("position", "id"))


def drafts_of(version: RatePlanVersion) -> list[PriceDraft]:
    """The prices of `version` as drafts of another."""
    return [
        PriceDraft(
            unit=row.unit,
            terms=bare(row.terms),
            timing=row.timing,
            path=f"metricConfigs[{row.position}]",
            currency=row.currency,
            group_by=row.group_by,
            rollover_periods=row.rollover_periods,
            rollover_cap=row.rollover_cap,
            rollover_cap_percent=row.rollover_cap_percent,
        )
        for row in price_rows(version)
    ]


def shown(version: RatePlanVersion) -> dict[str, object]:
    """The prices of `version` as the audit log compares them: terms by unit."""
    return {_name_of(price): price.terms for price in price_rows(version)}


def canonical(
    terms: Mapping[str, object], *, path: str = "", credits_allowed: bool = False
) -> dict[str, object]:
    """`terms` in the one spelling that is stored; Refused names the field that is wrong."""
    try:
        return parse_terms(terms, credits_allowed=credits_allowed).as_dict()
    except InvalidTerms as error:
        field = f"{path}.{error.field}" if path else error.field
        raise Refused.naming(field, "INVALID_TERMS", error.reason) from error


def _row(version: RatePlanVersion, draft: PriceDraft, position: int) -> UnitPrice:
    for key in SAID_BESIDE:
        if draft.terms.get(key) is not None:
            reason = "stands beside the terms: of the unit, of the plan, or of the price"
            raise changes.refused(f"{draft.path}.{key}", "INVALID_TERMS", reason)
    terms = canonical(draft.terms, path=draft.path, credits_allowed=version.credits_allowed)
    row = UnitPrice(
        tenant_id=version.tenant_id,
        version=version,
        unit=draft.unit,
        terms=terms,
        timing=draft.timing,
        currency="" if draft.currency == version.rate_plan.currency else draft.currency,
        group_by=list(draft.group_by),
        rollover_periods=draft.rollover_periods,
        rollover_cap=draft.rollover_cap,
        rollover_cap_percent=draft.rollover_cap_percent,
        position=position,
    )
    require_timing(row, path=draft.path)
    require_rollover(row, path=draft.path)
    return row


def _whole(row: UnitPrice, *, path: str) -> dict[str, object]:
    return whole_terms(
        row.terms, unit=row.unit, version=row.version, group_by=row.group_by, path=path
    )


def _require_each_once(drafts: Sequence[PriceDraft], rows: Sequence[UnitPrice]) -> None:
    seen: set[tuple[UUID, str]] = set()
    for draft, row in zip(drafts, rows, strict=True):
        if (row.unit_id, row.currency) in seen:
            raise changes.refused(draft.path, "DUPLICATE", f"'{draft.unit}' is priced twice")
        seen.add((row.unit_id, row.currency))


def _share_with_currencies(drafts: Sequence[PriceDraft], rows: Sequence[UnitPrice]) -> None:
    """Prices in further currencies take timing, groups and rollover from the plan's own."""
    own = {row.unit_id: row for row in rows if not row.currency}
    for draft, row in zip(drafts, rows, strict=True):
        if not row.currency:
            continue
        if row.unit_id not in own:
            reason = f"'{draft.unit}' has no price in the plan's own currency"
            raise changes.refused(f"{draft.path}.currency", "INVALID", reason)
        base = own[row.unit_id]
        row.timing, row.group_by = base.timing, base.group_by
        row.rollover_periods = base.rollover_periods
        row.rollover_cap, row.rollover_cap_percent = base.rollover_cap, base.rollover_cap_percent
        require_timing(row, path=draft.path)
        require_rollover(row, path=draft.path)


def _require_every_currency(version: RatePlanVersion, rows: Sequence[UnitPrice]) -> None:
    priced = {(row.unit_id, row.currency) for row in rows}
    for row in rows:
        for currency in sorted(_currencies(version)):
            if (row.unit_id, currency) not in priced:
                reason = f"'{row.unit}' has no price in {currency}"
                raise changes.refused("currencies", "INVALID", reason)


def _currencies(version: RatePlanVersion) -> set[str]:
    """The currencies that prices may be in; '' is the plan's own."""
    rows = VersionCurrency.objects.for_tenant(version.tenant_id).filter(version=version)
    return {"", *rows.values_list("currency", flat=True)}


def _name_of(price: UnitPrice) -> str:
    currency = f" in {price.currency}" if price.currency else ""
    return f"price of {price.unit}{currency}"
