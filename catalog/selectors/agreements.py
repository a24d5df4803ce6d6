"""What contracts ask for and grant, phase by phase: values for pricing and for invoices."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import plain
from catalog.models import ContractPhase, ContractPrice
from catalog.pricing import MODELS


@dataclass(frozen=True, slots=True)
class AgreedPrice:
    """Instead of what any plan says of one unit: other terms, or another allowance alone."""

    terms: Mapping[str, object] | None
    included_free: Decimal | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """One phase, with what its contract says of the whole term [term_start, term_end).

    Spends of the phase are per full period, None leaves the plans' own; those of the term are over
    all of it, a `term_minimum` of zero is none.
    """

    phase_id: UUID
    contract_id: UUID
    name: str
    currency: str
    term_start: datetime
    term_end: datetime
    term_minimum: Decimal
    term_maximum: Decimal | None
    minimum_spend: Decimal | None
    maximum_spend: Decimal | None
    discount_percent: Decimal
    discount_amount: Decimal
    prices: Mapping[UUID, AgreedPrice] = field(default_factory=dict)  # by unit


def agreements_of(phase_ids: Collection[UUID]) -> Mapping[UUID, Agreement]:
    """What each phase says, by its id, in two statements; none for no ids."""
    if not phase_ids:
        return {}
    phases = ContractPhase.objects.filter(pk__in=phase_ids)  # any tenant: by ids of our own
    prices = agreed_prices(phase_ids)
    return {
        phase.pk: Agreement(
            phase_id=phase.pk,
            contract_id=phase.contract_id,
            name=phase.contract.name,
            currency=phase.contract.currency,
            term_start=phase.contract.start_at,
            term_end=phase.contract.end_at,
            term_minimum=phase.contract.minimum_spend,
            term_maximum=phase.contract.maximum_spend,
            minimum_spend=phase.minimum_spend,
            maximum_spend=phase.maximum_spend,
            discount_percent=phase.discount_percent,
            discount_amount=phase.discount_amount,
            prices=prices.get(phase.pk, {}),
        )
        for phase in phases.select_related("contract")
    }


def agreed_prices(phase_ids: Collection[UUID]) -> Mapping[UUID, Mapping[UUID, AgreedPrice]]:
    """The prices of each phase by unit, in one statement; phases without any are absent."""
    rows = ContractPrice.objects.filter(phase__in=phase_ids)  # any tenant: by ids of our own
    found: defaultdict[UUID, dict[UUID, AgreedPrice]] = defaultdict(dict)
    for phase_id, unit_id, *said in rows.values_list("phase", "unit", "terms", "included_free"):
        found[phase_id][unit_id] = AgreedPrice(*said)
    return found


def terms_under(
    price: AgreedPrice | None, terms_of_plan: Mapping[str, object]
) -> Mapping[str, object]:
    """The terms in wire form that hold for a unit: the plan's, but for what `price` says.

    An allowance alone changes nothing of a model that has none.
    """
    if price is None:
        return terms_of_plan
    if price.terms is not None:
        return price.terms
    if price.included_free is None or not takes_allowance(terms_of_plan):
        return terms_of_plan
    return {**terms_of_plan, "includedFree": plain(price.included_free)}


def takes_allowance(terms: Mapping[str, object]) -> bool:
    """Whether terms in wire form are of a model with `includedFree`."""
    model = MODELS.get(str(terms.get("model")))
    return model is not None and "included_free" in {
        term.name
        for term in fields(model)  # type: ignore[arg-type]  # every model is a dataclass
    }
