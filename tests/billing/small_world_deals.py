"""What is agreed beside a catalog: contracts, families, taxes, currencies, thresholds."""

from hypothesis import strategies as st

CURRENCIES = ["USD", "USD", "JPY", "KWD"]
TAX_RATES = [
    {"name": "VAT", "country": "DE", "percent": "19"},
    {"name": "TVA", "country": "FR", "percent": "5.5"},
]
amounts = st.sampled_from([None, None, "20", "75.5"])


@st.composite
def contracts(draw, sold, currency):
    """A contract of the first customer: spends, a discount, other prices; perhaps a ramp."""
    return {
        "customerId": "c0",
        "name": "Deal",
        "startDate": "2026-01-01",
        "termMonths": 12,
        "status": "ACTIVE",
        "currency": currency,
        "phases": [draw(phases(sold))],
    }


@st.composite
def phases(draw, sold):
    least, percent = draw(amounts), draw(st.sampled_from([None, "10"]))
    agreed = [
        {"metricName": metric["name"], "terms": {"model": "PER_UNIT", "rate": "0.05"}}
        for metric in draw(st.lists(st.sampled_from(sold), max_size=1))
    ]
    phase = {"minimumSpend": least, "maximumSpend": draw(st.sampled_from([None, "120"]))}
    phase |= {"discountPercent": percent, "prices": agreed or None}
    return {name: value for name, value in phase.items() if value is not None}


@st.composite
def sides(draw, catalog, *, taxes, thresholds):
    """The catalog, with what some of its customers have agreed to."""
    catalog = dict(catalog)
    currency = catalog["currency"]
    if draw(st.booleans()):
        catalog["contracts"] = [draw(contracts(catalog["metrics"], currency))]
    if draw(st.integers(0, 2)) == 0:
        catalog["customers"] = _family(catalog["customers"])
    if taxes and draw(st.booleans()):
        catalog |= {
            "country": "DE",
            "billingEntity": {
                "country": "DE", "taxEngine": "TABLE", "taxInclusive": draw(st.booleans()),
            },
            "taxRates": TAX_RATES,
            "customers": [draw(taxed(one)) for one in catalog["customers"]],
        }  # fmt: skip
    if thresholds and draw(st.integers(0, 2)) == 0:
        catalog["subscriptions"] = [
            one | {"invoiceThreshold": "4"} for one in catalog["subscriptions"]
        ]
    return catalog


def _family(customers):
    """The same customers, all children of one who pays for them."""
    parent = {"externalId": "group", "name": "group"}
    return [parent, *(one | {"parentId": "$customers.group"} for one in customers)]


@st.composite
def taxed(draw, customer):
    country = draw(st.sampled_from(["DE", "DE", "FR", "US"]))
    return customer | {"country": country, "taxExempt": draw(st.integers(0, 5)) == 0}
