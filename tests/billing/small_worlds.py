"""Any small world, as a scenario: what is sold, to whom, what is used, how the clock moves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from tests.billing.small_world_deals import CURRENCIES, sides

START = datetime(2026, 1, 1, tzinfo=UTC)
AGGREGATIONS = [
    "COUNT", "SUM", "MAX", "COUNT_DISTINCT", "LATEST", "AVG", "PERCENTILE_95", "WEIGHTED_SUM",
]  # fmt: skip
LEVELS = {"SUM", "MAX", "COUNT_DISTINCT", "LATEST", "WEIGHTED_SUM"}
BY_PART = ["MATRIX", "DYNAMIC", "PER_TRANSACTION"]
MODELS = [
    "PER_UNIT", "FLAT_RATE", "PERCENTAGE", "INCLUDED_QUOTA", "GRADUATED", "VOLUME_TIERED",
    "STAIRSTEP", "GRADUATED_PERCENTAGE",
]  # fmt: skip


def money(largest, places=2):
    return st.integers(0, largest).map(lambda number: f"{number / 10**places:.{places}f}")


rates = money(300) | money(9999, 4)
quantities = st.integers(0, 40) | st.integers(0, 40_000).map(lambda n: f"{n / 1000:.3f}")


def fixed(optional=None, **fields):
    """A dictionary with `fields`, and with any of `optional`."""
    return st.fixed_dictionaries(fields, optional=optional)


@st.composite
def tiers(draw, rate_name, rates):
    ends = sorted(draw(st.sets(st.integers(1, 200), max_size=3)))
    tier = fixed({"flatFee": money(500)}, **{rate_name: rates})
    return [{"tierEnd": end, **draw(tier)} for end in [*ends, -1]]


@st.composite
def stairsteps(draw):
    ends = sorted(draw(st.sets(st.integers(1, 200), min_size=1, max_size=3)))
    steps = [{"tierEnd": end, "price": draw(money(3000))} for end in ends]
    if draw(st.booleans()):
        return {"steps": steps, "overageRate": draw(rates)}
    return {"steps": [*steps, {"tierEnd": -1, "price": draw(money(3000))}]}


CELLS = st.tuples(
    *(fixed(values=st.just({"region": region}), rate=rates) for region in ("eu", "us"))
).map(list)
TERMS = {
    "PER_UNIT": fixed(rate=rates, includedFree=st.integers(0, 50)),
    "FLAT_RATE": fixed(flatRate=money(5000), billingTiming=st.sampled_from(["ARREARS", "ADVANCE"])),
    "PERCENTAGE": fixed(
        {
            "maxFee": st.integers(5, 30),
            "fixedFee": money(50),
            "freeTransactions": st.integers(0, 9),
            "freeAmount": st.integers(0, 50),
        },
        ratePercent=money(100, 1),
    ),
    "PER_TRANSACTION": fixed(
        {"minPerTransaction": money(100), "fixedFee": money(50)},
        model=st.just("PERCENTAGE"),
        ratePercent=money(100, 1),
        maxPerTransaction=st.sampled_from(["1.00", "2.5"]),
    ),
    "INCLUDED_QUOTA": fixed(
        {"blockSize": st.integers(1, 20)},
        includedFree=st.integers(0, 80),
        rate=rates,
        ovBehavior=st.sampled_from(["CHARGE", "CHARGE", "BLOCK", "IGNORE"]),
    ),
    "GRADUATED": fixed(tiers=tiers("unitPrice", rates)),
    "VOLUME_TIERED": fixed(tiers=tiers("unitPrice", rates)),
    "STAIRSTEP": stairsteps(),
    "MATRIX": fixed(dimensions=st.just(["region"]), cells=CELLS, defaultRate=rates),
    "DYNAMIC": fixed(amountField=st.just("amount"), markupPercent=money(300, 1)),
    "GRADUATED_PERCENTAGE": fixed(tiers=tiers("ratePercent", money(100, 1))),
}
DUE_UNUSED = {
    "PERCENTAGE": fixed({"minFee": money(500)}),
    "PER_TRANSACTION": fixed({"minFee": money(500)}),
    **dict.fromkeys(
        ("GRADUATED", "VOLUME_TIERED", "GRADUATED_PERCENTAGE"), fixed(billZeroTier=st.booleans())
    ),
}


@st.composite
def terms(draw, model, *, due_unused=True):
    """Terms of `model`; unless `due_unused`, such that cost nothing without usage."""
    more = draw(DUE_UNUSED[model]) if due_unused and model in DUE_UNUSED else {}
    return draw(TERMS[model]) | more


@st.composite
def metrics(draw, name):
    aggregation = draw(st.sampled_from(AGGREGATIONS))
    levels = aggregation in LEVELS and draw(st.booleans())
    return _there(
        name=name,
        aggregationType=aggregation,
        eventField="user" if aggregation == "COUNT_DISTINCT" else None,
        divideBy=draw(st.sampled_from([None, None, "10", "3"])),
        rounding=draw(st.sampled_from([None, None, "CEIL", "ROUND", "FLOOR"])),
        recurring=levels or None,
    )


@st.composite
def prices(draw, metric, *, splits):
    """A price of the metric; of a plan that splits dimensions, nothing is due without usage."""
    models = [*MODELS, *(BY_PART * 2 if metric["aggregationType"] in {"COUNT", "SUM"} else ())]
    grouped = splits or draw(st.integers(0, 3)) == 0
    if grouped:
        models.remove("FLAT_RATE")
    if metric.get("recurring"):
        models = [one for one in models if one not in BY_PART]
    model = draw(st.sampled_from(models))
    price = {"metricName": metric["name"], "model": model}
    price |= draw(terms(model, due_unused=not grouped))
    if grouped and not splits:
        price["groupBy"] = ["region"]
    if model in {"PER_UNIT", "INCLUDED_QUOTA"} and price["includedFree"] and draw(st.booleans()):
        price["rolloverPeriods"] = draw(st.integers(1, 2))
        price |= draw(st.sampled_from([{}, {"rolloverCap": "30"}, {"rolloverCapPercent": "50"}]))
    return price


@st.composite
def plans(draw, name, sold, currency):
    splits = draw(st.integers(0, 4)) == 0
    least = draw(st.sampled_from(["0", "0", "25"]))
    return _there(
        name=name,
        currency=currency,
        baseFee=draw(st.sampled_from(["0", "30", "99.99"])),
        baseFeeTiming=draw(st.sampled_from(["ARREARS", "ADVANCE"])),
        setupFee=draw(st.sampled_from([None, "15"])),
        proration=draw(st.sampled_from(["SECOND", "DAY"])),
        minimumSpend=least,
        maximumSpend=draw(st.sampled_from([None, None, "60"])),
        discountPercent=draw(st.sampled_from(["0", "0", "12.5", "100"])),
        discountAmount=draw(st.sampled_from(["0", "0", "3.33"])),
        dimensionKey="region" if splits else None,
        dimensionPricing={"eu": "1.5"} if splits else None,
        metricConfigs=[draw(prices(metric, splits=splits)) for metric in sold],
    )


@dataclass
class Story:
    """The steps of a scenario as they are drawn, and the clock that they move."""

    now: datetime
    customers: int
    metrics: list
    steps: list
    sent: list

    def tell(self, **step):
        self.steps.append(step)

    def wait(self, hours):
        self.now += timedelta(hours=hours)
        self.tell(clock=self.now.isoformat())

    def call(self, customer, act, *, status=200, **body):
        path = f"POST /api/v1/subscriptions/$subscriptions.c{customer}/{act}"
        self.tell(name=act, call={"request": path, "body": body, "status": status})


@st.composite
def usage(draw, story, most):
    """Events up to now, some late, some sent before."""
    events = []
    for _ in range(draw(st.integers(2, most))):
        if story.sent and draw(st.integers(0, 9)) == 0:
            events.append(draw(st.sampled_from(story.sent)))
            continue
        ago = draw(st.integers(1, 48) | st.integers(1, 600))
        event = {
            "customerId": f"c{draw(st.integers(0, story.customers - 1))}",
            "metricName": draw(st.sampled_from(story.metrics)),
            "quantity": draw(quantities),
            "occurredAt": (story.now - timedelta(hours=ago, seconds=len(story.sent))).isoformat(),
            "idempotencyKey": f"key-{len(story.sent)}",
            "metadata": {
                "user": draw(st.sampled_from("abcdef")),
                "region": draw(st.sampled_from(["eu", "us", "ap"])),
                "amount": draw(money(2000)),
            },
        }
        story.sent.append(event)
        events.append(event)
    story.tell(events=events)


@st.composite
def catalogs(draw, *, changes=True, taxes=True, thresholds=False):
    """A scenario without steps."""
    currency = draw(st.sampled_from(CURRENCIES))
    sold = [draw(metrics(f"m{number}")) for number in range(draw(st.integers(2, 3)))]
    customers = draw(st.integers(1, 2))
    trial = draw(st.sampled_from([0, 0, 0, 7])) if changes else 0
    anchors = st.sampled_from(["ANNIVERSARY", "CALENDAR"])
    first_days = st.sampled_from(["2026-01-01", "2026-01-01", "2026-01-13", "2026-01-31"])
    cycles = st.sampled_from(["MONTHLY", "MONTHLY", "WEEKLY"])
    catalog = {
        "name": "any",
        "clock": START.isoformat(),
        "currency": currency,
        "metrics": sold,
        "ratePlans": [draw(plans(name, sold, currency)) for name in ("Plan", "Other")],
        "offerings": [
            {"code": name.upper(), "name": name, "primaryRatePlanId": f"$ratePlans.{name}",
             "trialDays": trial} for name in ("Plan", "Other")
        ],
        "customers": [{"externalId": f"c{n}", "name": f"c{n}"} for n in range(customers)],
        "coupons": [
            {"code": "TENTH", "discountType": "PERCENTAGE", "discountValue": "10",
             "duration": "FOREVER"},
            {"code": "FIVER", "discountType": "FIXED_AMOUNT", "discountValue": "5",
             "currency": currency, "duration": "ONCE"},
        ],
        "subscriptions": [
            {"as": f"c{n}", "offeringId": "$offerings.PLAN", "customerId": f"c{n}",
             "startDate": draw(first_days), "billingAnchor": draw(anchors),
             "billingCycle": draw(cycles)} for n in range(customers)
        ],
    }  # fmt: skip
    return draw(sides(catalog, taxes=taxes, thresholds=thresholds))


CALLS = ["cancel", "pause", "resume", "upgrade", "invoice-now", "coupon", "cancel-at-end"]


@st.composite
def worlds(draw, *, rounds=5, events=14):
    """A scenario in which anything happens."""
    catalog = draw(catalogs(thresholds=True))
    story = _story(catalog)
    for _ in range(draw(st.integers(2, rounds))):
        story.wait(draw(st.integers(20, 400)))
        draw(usage(story, events))
        for _ in range(draw(st.integers(0, 2))):
            _happen(story, draw(st.sampled_from(CALLS)), draw(st.integers(0, story.customers - 1)),
                    draw(st.booleans()))  # fmt: skip
            story.wait(draw(st.integers(1, 60)))
        if draw(st.booleans()):
            story.tell(bill={"finalize": draw(st.booleans())})
    story.wait(24 * 32)
    story.tell(bill={})
    if draw(st.booleans()):
        _void_the_last(story, draw(st.booleans()))
    return {**catalog, "steps": story.steps}


def _story(catalog):
    names = [metric["name"] for metric in catalog["metrics"]]
    return Story(START, len(catalog["subscriptions"]), names, [], [])


def _void_the_last(story, again):
    """Void the last invoice, if any was made; perhaps make it anew; then bill once more."""
    story.tell(call={"request": "GET /api/v1/invoices", "as": "last"})
    acts = [("void", 200, {"reason": "wrong"}), ("regenerate", 201, {"autoFinalize": True})]
    for act, status, body in acts[: 1 + again]:
        path = f"POST /api/v1/invoices/$last/{act}"
        story.tell(name=act, call={"request": path, "body": body, "status": status})
    story.tell(bill={})


def _happen(story, what, customer, whole):
    match what:
        case "upgrade":
            when = {"when": "NOW", "prorate": whole}
            story.call(customer, what, targetOfferingId="$offerings.OTHER", **when)
        case "cancel-at-end":
            story.call(customer, "cancel", when="PERIOD_END")
        case "coupon":
            body = {"code": "TENTH" if whole else "FIVER"}
            path = f"POST /api/v1/coupons/redeem-for-customer?customerId=c{customer}"
            body["subscriptionId"] = f"$subscriptions.c{customer}"
            story.tell(name=what, call={"request": path, "body": body, "status": 201})
        case "invoice-now":
            story.call(customer, what, status=201)
        case _:
            story.call(customer, what)


@st.composite
def orders(draw, *, events=40):
    """Two scenarios with the same events at the same times, taken in different order."""
    catalog = draw(catalogs())
    story = _story(catalog)
    story.wait(24 * 20)
    draw(usage(story, events))
    (drawn,) = story.steps[1:]
    ways = []
    for _ in range(2):
        order = draw(st.permutations(drawn["events"]))
        steps = [story.steps[0]]
        while order:
            size = draw(st.integers(1, 20))
            steps += [{"events": order[:size]}, {"expect": {"usage": {}}}]
            order = order[size:]
        after = story.now + timedelta(days=45)
        ways.append({**catalog, "steps": [*steps, {"clock": after.isoformat()}, {"bill": {}}]})
    return ways


@st.composite
def progresses(draw, *, rounds=4, events=12):
    """A scenario with invoices of usage so far, and the same one without them."""
    catalog = draw(catalogs(changes=False, taxes=False))
    story = _story(catalog)
    for _ in range(draw(st.integers(1, rounds))):
        story.wait(draw(st.integers(20, 300)))
        draw(usage(story, events))
        if draw(st.booleans()):
            story.call(draw(st.integers(0, story.customers - 1)), "invoice-now", status=201)
    story.wait(24 * 40)
    story.tell(bill={})
    single = [step for step in story.steps if step.get("name") != "invoice-now"]
    return {**catalog, "steps": story.steps}, {**catalog, "steps": single}


def _there(**fields):
    return {name: value for name, value in fields.items() if value is not None}
