"""What providers ask: the cards of a tenant, and what they come to per unit and currency."""

from collections import defaultdict
from collections.abc import Mapping
from uuid import UUID

from aforo.tenancy.models import Tenant, TenantQuerySet
from metering.margin.unit_costs import CardPrice, UnitCosts
from metering.models import RateCard

CostsByUnit = Mapping[tuple[UUID, str], UnitCosts]
"""By unit and currency; units without cards are absent."""


def rate_cards(*, tenant: Tenant) -> TenantQuerySet:
    """All cards of a tenant, by unit, the newest first."""
    return RateCard.objects.for_tenant(tenant).select_related("unit")


def unit_costs_of(tenant_id: UUID) -> CostsByUnit:
    """Every card of a tenant, compiled, in one statement."""
    rows = RateCard.objects.for_tenant(tenant_id).order_by("-valid_from")
    cards: defaultdict[tuple[UUID, str], list[CardPrice]] = defaultdict(list)
    otherwise = {}
    for unit_id, unit_cost, currency, *card in rows.values_list(
        "unit_id",
        "unit__unit_cost",
        "currency",
        "dimension",
        "unit_price",
        "valid_from",
        "valid_until",
    ):
        cards[unit_id, currency].append(CardPrice(*card))
        otherwise[unit_id] = unit_cost
    return {key: UnitCosts(found, otherwise=otherwise[key[0]]) for key, found in cards.items()}
