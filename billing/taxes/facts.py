"""What the Tax stage goes by: who taxes whom, and the rates of the places that may matter."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from aforo.money import plain
from billing.models import TaxRate
from billing.pipeline import TaxFact, TaxRateFact
from catalog.models import BillingEntity, Customer, SubscriptionPeriod
from catalog.tax_numbers import valid_vat_number

_TABLE = BillingEntity.TaxEngine.TABLE


def tax_facts(tenant_id: UUID, periods: Collection[SubscriptionPeriod]) -> Mapping[UUID, TaxFact]:
    """What each period is taxed by, by its id; one statement when a table is asked, none otherwise.

    Periods come with the subscription, its customer and its billing entity.
    """
    tabled = [period for period in periods if _entity(period).tax_engine == _TABLE]
    rates = _rates(tenant_id, {place for period in tabled for place in _countries(period)})
    zones = {_entity(period).time_zone for period in tabled}
    tables = {zone: [_rate(rate, ZoneInfo(zone)) for rate in rates] for zone in zones}
    return {
        period.id: _fact(period, tables.get(_entity(period).time_zone, ())) for period in periods
    }


def _entity(period: SubscriptionPeriod) -> BillingEntity:
    entity: BillingEntity = period.subscription.billing_entity
    return entity


def _countries(period: SubscriptionPeriod) -> tuple[str, str]:
    customer: Customer = period.subscription.customer
    return _entity(period).country.upper(), customer.country.upper()


def _rates(tenant_id: UUID, countries: Collection[str]) -> Sequence[TaxRate]:
    if not countries:
        return ()
    rows = TaxRate.objects.for_tenant(tenant_id).filter(country__in=countries)
    return list(rows.order_by("country", "region", "tax_code", "name", "valid_from"))


def _fact(period: SubscriptionPeriod, table: Sequence[TaxRateFact]) -> TaxFact:
    entity, customer = _entity(period), period.subscription.customer
    seller, buyer = _countries(period)
    return TaxFact(
        engine=entity.tax_engine,
        inclusive=entity.tax_inclusive,
        seller_country=seller,
        seller_region=entity.region,
        seller_number=entity.tax_number,
        buyer_country=buyer,
        buyer_region=customer.region,
        buyer_number=valid_vat_number(buyer, customer.tax_number),
        exempt=customer.tax_exempt,
        rates=tuple(rate for rate in table if rate.country in {seller, buyer}),
    )


def _rate(rate: TaxRate, zone: ZoneInfo) -> TaxRateFact:
    return TaxRateFact(
        name=rate.name,
        country=rate.country,
        region=rate.region,
        tax_code=rate.tax_code,
        percent=Decimal(plain(rate.percent)),
        valid_from=_midnight(rate.valid_from, zone),
        valid_until=_midnight(rate.valid_until, zone),
    )


def _midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    """When a day begins where the seller is."""
    return None if day is None else datetime.combine(day, time(), zone)
