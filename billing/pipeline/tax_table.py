"""Which taxes a line bears by the built-in table: by country, region, kind of product and day."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.pipeline.facts import TaxFact, TaxRateFact

EU = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip
EXEMPT = "The customer is exempt from tax"
REVERSE_CHARGE = "Reverse charge, Article 196 Council Directive 2006/112/EC"


class NoTaxRate(ValueError):
    """Tax is due, and nothing says how much: an amount of tax is never guessed.

    `field` is what has to be told, as on the wire.
    """

    def __init__(self, reason: str, *, field: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax of an invoice: its name and percentage."""

    name: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Place:
    """Where an invoice is taxed; nowhere when there is no country, and `note` says why."""

    country: str = ""
    region: str = ""
    note: str = ""


def place_of(fact: TaxFact) -> Place:
    """Where tax is due. Raises NoTaxRate when the country of either side is not known.

    At home: there. From one EU country to another: by reverse charge to a buyer with a VAT number,
    else in the buyer's. Out of the EU: nowhere. A seller outside the EU owes tax abroad where the
    table has a rate, which says that they are registered there.
    """
    if fact.exempt:
        return Place(note=EXEMPT)
    seller, buyer = fact.seller_country, fact.buyer_country
    for who, owner, country in (
        ("billing entity", "billingEntity", seller),
        ("customer", "customer", buyer),
    ):
        if not country:
            reason = f"the {who} has no country: where to tax is not known"
            raise NoTaxRate(reason, field=f"{owner}.country")
    if seller == buyer:
        return Place(buyer, fact.buyer_region)
    if buyer in EU and fact.buyer_number:
        return Place(note=REVERSE_CHARGE)
    is_taxed = buyer in EU if seller in EU else any(rate.country == buyer for rate in fact.rates)
    return Place(buyer, fact.buyer_region) if is_taxed else Place(note=f"No tax: export to {buyer}")


def taxes_at(
    place: Place, rates: Iterable[TaxRateFact], *, tax_code: str, at: datetime
) -> Sequence[Tax]:
    """The taxes of a line with `tax_code` that is supplied at `at`: those of the country first.

    In the country, and again in its region, rates for the line's own code stand in for those of any
    code. Taxes of the region come on top of the country's, or in the place of one of the same name.
    Raises NoTaxRate when the table has none; a rate of 0 says that there is none to pay.
    """
    valid = [
        rate
        for rate in rates
        if rate.country == place.country
        and (rate.valid_from is None or rate.valid_from <= at)
        and (rate.valid_until is None or at < rate.valid_until)
    ]
    taxes = _most_specific((rate for rate in valid if not rate.region), tax_code)
    if place.region:
        here = (rate for rate in valid if rate.region == place.region)
        taxes |= _most_specific(here, tax_code)
    if not taxes:
        where = f"{place.country} {place.region}".rstrip()
        what = f" of tax code '{tax_code}'" if tax_code else ""
        reason = f"the table has no rate{what} for {where} on {at:%Y-%m-%d}"
        raise NoTaxRate(reason, field="taxRates")
    return tuple(taxes.values())


def _most_specific(rates: Iterable[TaxRateFact], tax_code: str) -> dict[str, Tax]:
    """The taxes of one place by name: rates for the code if there are any, else for all codes."""
    general: dict[str, Tax] = {}
    own: dict[str, Tax] = {}
    for rate in sorted(rates, key=lambda rate: rate.name):
        tax = Tax(rate.name, rate.percent)
        if not rate.tax_code:
            general[rate.name] = tax
        elif rate.tax_code == tax_code:
            own[rate.name] = tax
    return own or general
