"""Fees of a version in further currencies than the plan's own."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal

from aforo.errors import Refused
from aforo.money import ZERO, minor_units, plain
from aforo.spelling import on_the_wire
from catalog.models import RatePlanVersion, VersionCurrency
from catalog.services import changes
from catalog.services.version_terms import require_range


@dataclass(frozen=True, slots=True)
class CurrencyFees:
    """The fees of a version in one further currency; its prices stand with the units."""

    currency: str
    base_fee: Decimal = ZERO
    setup_fee: Decimal = ZERO
    minimum_spend: Decimal = ZERO
    maximum_spend: Decimal | None = None
    discount_amount: Decimal = ZERO


def replace_currencies(version: RatePlanVersion, fees: Sequence[CurrencyFees]) -> None:
    """Make `fees` the further currencies of a locked draft."""
    own, seen = version.rate_plan.currency, set()
    for index, item in enumerate(fees):
        path = f"currencies[{index}]"
        if item.currency == own or item.currency in seen:
            raise changes.refused(f"{path}.currency", "DUPLICATE", "has its fees already")
        seen.add(item.currency)
        _require_sound(item, path)
    VersionCurrency.objects.for_tenant(version.tenant_id).filter(version=version).delete()
    VersionCurrency.objects.bulk_create(
        VersionCurrency(tenant_id=version.tenant_id, version=version, **asdict(item))
        for item in fees
    )


def fees_in_currencies(version: RatePlanVersion) -> list[CurrencyFees]:
    """The further currencies of `version`, by name."""
    rows = VersionCurrency.objects.for_tenant(version.tenant_id).filter(version=version)
    return [
        CurrencyFees(
            row.currency,
            row.base_fee,
            row.setup_fee,
            row.minimum_spend,
            row.maximum_spend,
            row.discount_amount,
        )
        for row in rows.order_by("currency")
    ]


def shown(version: RatePlanVersion) -> dict[str, object]:
    """The fees in further currencies as the audit log compares them."""
    return {
        f"fees in {item.currency}": {
            on_the_wire(name): plain(value)
            for name, value in asdict(item).items()
            if isinstance(value, Decimal)
        }
        for item in fees_in_currencies(version)
    }


def _require_sound(item: CurrencyFees, path: str) -> None:
    try:
        minor_units(item.currency)
    except ValueError:
        raise changes.refused(
            f"{path}.currency", "INVALID", f"no currency '{item.currency}'"
        ) from None
    row = VersionCurrency(**asdict(item))
    try:
        changes.require_valid(row)
    except Refused as error:
        first = error.errors[0]
        raise changes.refused(f"{path}.{first.field}", first.code, first.message) from error
    for name, value in asdict(item).items():
        if isinstance(value, Decimal) and value < ZERO:
            raise changes.refused(f"{path}.{on_the_wire(name)}", "INVALID", "must not be negative")
    require_range(item.minimum_spend, item.maximum_spend, field=f"{path}.maximumSpend")
