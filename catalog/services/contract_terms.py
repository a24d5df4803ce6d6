"""What a draft contract says: phases that tile its term."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from aforo.money import ZERO, plain
from catalog.models import Contract, ContractPhase, ContractPrice
from catalog.months import months_after
from catalog.services import changes, contract_prices
from catalog.services.contract_prices import AgreedPriceDraft

WHOLE = Decimal(100)


@dataclass(frozen=True, slots=True)
class PhaseDraft:
    """A step of a ramp: from `start_at`, or so many months into the term, until the next begins.

    None leaves what the plan says; `path` is where the sender wrote it.
    """

    start_at: datetime | None = None
    month_offset: int | None = None
    minimum_spend: Decimal | None = None
    maximum_spend: Decimal | None = None
    discount_percent: Decimal = ZERO
    discount_amount: Decimal = ZERO
    prices: Sequence[AgreedPriceDraft] = ()
    path: str = "phases"


def replace_phases(contract: Contract, drafts: Sequence[PhaseDraft], *, zone: str) -> None:
    """Make `drafts` the phases of a locked draft, in order of time; none: one for the whole term.

    Months are counted on the calendar of `zone`. The first begins with the term, each ends where
    the next begins, the last with the term.
    """
    drafts = drafts or (PhaseDraft(),)
    starts = [_start(contract, draft, zone) for draft in drafts]
    _require_tiling(contract, drafts, starts)
    ContractPhase.objects.for_tenant(contract.tenant_id).filter(contract=contract).delete()
    phases = [
        _phase(contract, draft, start, end)
        for draft, start, end in zip(drafts, starts, [*starts[1:], contract.end_at], strict=True)
    ]
    ContractPhase.objects.bulk_create(phases)
    ContractPrice.objects.bulk_create(
        row
        for phase, draft in zip(phases, drafts, strict=True)
        for row in contract_prices.rows_of(phase, draft.prices)
    )


def stretch_phases(contract: Contract) -> None:
    """Let the first and the last phase of a locked draft follow a term that has moved."""
    phases = phases_of(contract)
    phases[0].start_at, phases[-1].end_at = contract.start_at, contract.end_at
    for phase in phases:
        if phase.end_at <= phase.start_at:
            raise changes.refused("phases", "OUTSIDE", "a phase lies outside the term: say anew")
    ContractPhase.objects.for_tenant(contract.tenant_id).bulk_update(phases, ["start_at", "end_at"])


def require_sound_phases(contract: Contract) -> None:
    """Refuse phases that leave a part of the term to nobody, or to two."""
    phases = phases_of(contract)
    bounds = [contract.start_at, *(phase.end_at for phase in phases)]
    is_tiled = [phase.start_at for phase in phases] == bounds[:-1]
    if not phases or not is_tiled or bounds[-1] != contract.end_at:
        raise changes.refused("phases", "INVALID", "must follow one another over the whole term")


def phases_of(contract: Contract) -> list[ContractPhase]:
    """In order of time."""
    rows = ContractPhase.objects.for_tenant(contract.tenant_id).filter(contract=contract)
    return list(rows.order_by("start_at"))


def shown(contract: Contract) -> dict[str, object]:
    """Phases and prices as the audit log compares them."""
    said: dict[str, object] = {}
    for phase in phases_of(contract):
        said[f"phase from {phase.start_at:%Y-%m-%d %H:%M}"] = {
            "until": phase.end_at.isoformat(),
            "minimumSpend": contract_prices.plain_or_none(phase.minimum_spend),
            "maximumSpend": contract_prices.plain_or_none(phase.maximum_spend),
            "discountPercent": plain(phase.discount_percent),
            "discountAmount": plain(phase.discount_amount),
        }
    return said | contract_prices.shown(contract)


def _start(contract: Contract, draft: PhaseDraft, zone: str) -> datetime:
    if draft.start_at is not None and draft.month_offset is not None:
        raise changes.refused(f"{draft.path}.monthOffset", "AMBIGUOUS", "startAt says it already")
    if draft.start_at is not None:
        return draft.start_at
    return months_after(contract.start_at, draft.month_offset or 0, zone)


def _require_tiling(
    contract: Contract, drafts: Sequence[PhaseDraft], starts: Sequence[datetime]
) -> None:
    if starts[0] != contract.start_at:
        raise changes.refused(drafts[0].path, "INVALID", "the first phase begins with the term")
    for draft, (before, start) in zip(drafts[1:], pairwise(starts), strict=True):
        if start <= before:
            raise changes.refused(draft.path, "INVALID", "phases come in order of time")
    if starts[-1] >= contract.end_at:
        raise changes.refused(drafts[-1].path, "INVALID", "begins when the term is over")


def _phase(contract: Contract, draft: PhaseDraft, start: datetime, end: datetime) -> ContractPhase:
    minimum, maximum = draft.minimum_spend, draft.maximum_spend
    require_range(draft.path, minimum, maximum)
    if not ZERO <= draft.discount_percent <= WHOLE:
        raise changes.refused(f"{draft.path}.discountPercent", "INVALID", "is from 0 to 100")
    if draft.discount_amount < ZERO:
        raise changes.refused(f"{draft.path}.discountAmount", "INVALID", "must not be negative")
    return ContractPhase(
        tenant_id=contract.tenant_id,
        contract=contract,
        start_at=start,
        end_at=end,
        minimum_spend=minimum,
        maximum_spend=maximum,
        discount_percent=draft.discount_percent,
        discount_amount=draft.discount_amount,
    )


def require_range(path: str, minimum: Decimal | None, maximum: Decimal | None) -> None:
    """Refuse spends below zero, and a maximum below the minimum."""
    start = f"{path}." if path else ""
    for name, spend in (("minimumSpend", minimum), ("maximumSpend", maximum)):
        if spend is not None and spend < ZERO:
            raise changes.refused(f"{start}{name}", "INVALID", "must not be negative")
    if maximum is not None and minimum is not None and maximum < minimum:
        raise changes.refused(f"{start}maximumSpend", "INVALID", "is below the minimum")
