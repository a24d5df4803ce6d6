"""The health of units as it was last taken."""

from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from aforo.money import EXACT, divide, plain
from aforo.tenancy.models import Tenant
from metering.models import UnitHealth

_HUNDRED = Decimal(100)


def unit_health(*, tenant: Tenant) -> QuerySet[UnitHealth]:
    """One row per unit and plan version, units by their names."""
    rows: QuerySet[UnitHealth] = UnitHealth.objects.for_tenant(tenant)
    return rows.select_related("unit", "version__rate_plan").order_by(
        "unit__name", "version__rate_plan__name", "-version__number", "id"
    )


def told_tier(tier: dict[str, Any], health: UnitHealth) -> dict[str, Any]:
    """One tier with its shares in percent."""
    return {
        "fromQuantity": tier["from"],
        "toQuantity": tier["to"],
        "subscriptions": tier["subscriptions"],
        "customers": tier["customers"],
        "quantity": tier["quantity"],
        "percentOfCustomers": _percent(Decimal(tier["customers"]), Decimal(health.customers)),
        "percentOfUnits": _percent(Decimal(tier["quantity"]), health.quantity),
    }


def _percent(part: Decimal, whole: Decimal) -> str | None:
    if not whole:
        return None
    return plain(round(divide(EXACT.multiply(part, _HUNDRED), whole), 2))
