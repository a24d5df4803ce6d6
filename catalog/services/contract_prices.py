"""Prices of a contract: instead of what a plan says of a unit, in one phase."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from aforo.money import ZERO, plain
from catalog.models import (
    BillableUnit,
    Contract,
    ContractPhase,
    ContractPrice,
    UnitPrice,
)
from catalog.pricing import parse_terms
from catalog.selectors.agreements import takes_allowance
from catalog.services import changes
from catalog.services.prices import canonical
from catalog.services.whole_terms import measures_of, require_priceable

_MEASURES = frozenset({"divideBy", "rounding", "roundingPlaces"})


@dataclass(frozen=True, slots=True)
class AgreedPriceDraft:
    """What a unit is to cost instead of the plan's price: other terms, or another allowance."""

    unit: BillableUnit
    terms: Mapping[str, object] | None = None
    included_free: Decimal | None = None
    path: str = "prices"


def rows_of(phase: ContractPhase, drafts: Sequence[AgreedPriceDraft]) -> list[ContractPrice]:
    """The prices of a phase, not stored yet; Refused for a unit that is priced twice."""
    seen = set()
    for price in drafts:
        if price.unit.pk in seen:
            raise changes.refused(price.path, "DUPLICATE", f"'{price.unit}' is priced twice")
        seen.add(price.unit.pk)
    return [_row(phase, price) for price in drafts]


def replace_prices(phase: ContractPhase, drafts: Sequence[AgreedPriceDraft]) -> None:
    """Make `drafts` the prices of a phase of a locked draft."""
    rows = rows_of(phase, drafts)
    ContractPrice.objects.for_tenant(phase.tenant_id).filter(phase=phase).delete()
    ContractPrice.objects.bulk_create(rows)


def as_drafts(phase: ContractPhase) -> list[AgreedPriceDraft]:
    """The prices of a stored phase, to be written once more."""
    rows = ContractPrice.objects.for_tenant(phase.tenant_id).filter(phase=phase)
    return [
        AgreedPriceDraft(row.unit, row.terms, row.included_free)
        for row in rows.select_related("unit").order_by("unit__name")
    ]


def settle_prices(contract: Contract) -> None:
    """Store the prices of a locked draft as they will hold, with how their units are measured now.

    Refused names the unit that is archived, or whose plan has no allowance to replace.
    """
    rows = prices_of(contract)
    for row in rows:
        where = f"price of '{row.unit}'"
        if row.unit.archived_at is not None:
            raise changes.refused("prices", "ARCHIVED", f"{where}: the unit is archived")
        if row.terms is not None:
            row.terms = _settled(row.terms, row.unit, where)
    _require_allowances(contract, [row for row in rows if row.terms is None])
    ContractPrice.objects.for_tenant(contract.tenant_id).bulk_update(rows, ["terms"])


def copy_phase(phase: ContractPhase, *, to: Contract) -> ContractPhase:
    """The same terms for the whole term of another draft contract."""
    copied = ContractPhase.objects.create(
        tenant_id=to.tenant_id,
        contract=to,
        start_at=to.start_at,
        end_at=to.end_at,
        minimum_spend=phase.minimum_spend,
        maximum_spend=phase.maximum_spend,
        discount_percent=phase.discount_percent,
        discount_amount=phase.discount_amount,
    )
    prices = ContractPrice.objects.for_tenant(to.tenant_id).filter(phase=phase)
    ContractPrice.objects.bulk_create(
        ContractPrice(
            tenant_id=to.tenant_id,
            phase=copied,
            unit_id=price.unit_id,
            terms=price.terms,
            included_free=price.included_free,
        )
        for price in prices
    )
    return copied


def prices_of(contract: Contract) -> list[ContractPrice]:
    """Of all its phases, in order of time and by the name of the unit."""
    rows = ContractPrice.objects.for_tenant(contract.tenant_id).filter(phase__contract=contract)
    return list(rows.select_related("unit", "phase").order_by("phase__start_at", "unit__name"))


def shown(contract: Contract) -> dict[str, object]:
    """Its prices as the audit log compares them."""
    return {
        f"price of {price.unit} from {price.phase.start_at:%Y-%m-%d %H:%M}": price.terms
        or {"includedFree": plain_or_none(price.included_free)}
        for price in prices_of(contract)
    }


def plain_or_none(value: Decimal | None) -> str | None:
    """A number as it is written, where there is one."""
    return None if value is None else plain(value)


def _settled(terms: Mapping[str, object], unit: BillableUnit, where: str) -> dict[str, object]:
    """Terms with the measures that their unit has now, whichever it had when they were drafted."""
    bare = {key: value for key, value in terms.items() if key not in _MEASURES}
    whole = canonical({**bare, **measures_of(unit)}, path=where)
    require_priceable(parse_terms(whole), unit, where)
    return whole


def _require_allowances(contract: Contract, rows: Sequence[ContractPrice]) -> None:
    """An allowance alone replaces one that the customer's plans have."""
    whose = Q(version__subscription_plans__subscription__customer=contract.customer_id)
    if contract.subscription_id is not None:
        whose = Q(version__subscription_plans__subscription=contract.subscription_id)
    units = {row.unit_id for row in rows}
    prices = UnitPrice.objects.for_tenant(contract.tenant_id).filter(whose, unit__in=units)
    for price in prices.select_related("unit").distinct():
        if not takes_allowance(price.terms):
            reason = f"'{price.unit}' costs {price.terms.get('model')}, which has no allowance"
            raise changes.refused("prices", "INVALID", reason)


def _row(phase: ContractPhase, draft: AgreedPriceDraft) -> ContractPrice:
    changes.require_own(phase.tenant_id, draft.unit)
    if (draft.terms is None) == (draft.included_free is None):
        reason = "either terms or includedFree alone"
        raise changes.refused(draft.path, "AMBIGUOUS", reason)
    if draft.included_free is not None and draft.included_free < ZERO:
        raise changes.refused(f"{draft.path}.includedFree", "INVALID", "must not be negative")
    return ContractPrice(
        tenant_id=phase.tenant_id,
        phase=phase,
        unit=draft.unit,
        terms=None if draft.terms is None else canonical(draft.terms, path=draft.path),
        included_free=draft.included_free,
    )
