"""Usage so far beside a refund, by tax codes: the parts sum to the single invoice, taxes too."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from billing import pipeline
from billing.models import InvoiceLine
from billing.pipeline import EarlierFact, LineType, PaidFact, Share, TaxFact, TaxRateFact
from billing.selectors.progress import by_code
from billing.services.progress import so_far
from tests.billing.pipeline.build import contract, coupon, facts, fee, plan, usage_fact

MID = datetime(2024, 4, 15, tzinfo=UTC)
RATES = tuple(
    TaxRateFact("VAT", "DE", "", code, Decimal(rate))
    for code, rate in (("FEES", 20), ("CALLS", 10))
)
HOME = TaxFact("TABLE", seller_country="DE", buyer_country="DE", rates=RATES)
BOUGHT = {
    "plain": {},
    "coupon": {"coupons": (coupon(1, amount="7"),)},
}


def world(used, *, unused, **fields):
    """A base fee of 62.00 in advance, `unused` of 31 days of it not lived, and calls at 1.00."""
    calls = usage_fact(used, {"model": "PER_UNIT", "rate": "1"}, tax_code="CALLS")
    refund = PaidFact(fee("62", tax_code="FEES"), Decimal(62), Share(unused, Decimal(31), "days"))
    pro = plan(base_fee="62", in_advance=True, tax_code="FEES")
    return facts(pro, usage=[calls], paid=(refund,), tax=HOME, **fields)


def asked(draft, number):
    """What the selector makes of an invoice with these lines."""
    rows = [
        InvoiceLine(
            position=place,
            type=line.type,
            amount=line.amount.amount,
            tax_code=line.tax_code,
            version_id=line.version_id,
            of_line=line.of_line,
            stage=line.stage,
        )
        for place, line in enumerate(draft.lines, 1)
        if line.stage != "Tax"
    ]
    return tuple(
        EarlierFact(UUID(int=900 + number), f"INV-{number}", amount, code)
        for code, amount in sorted(by_code(rows, "USD").items())
    )


def run(given):
    return pipeline.run(given).draft


def untaxed(draft):
    return sum(line.amount.amount for line in draft.lines if line.stage != "Tax")


def test_what_was_given_back_of_another_tax_code_is_a_charge_that_comes_first():
    early = run(so_far(world("50", unused=Decimal(10)), now=MID))
    assert untaxed(early) == 30
    known = asked(early, 2)
    assert [(one.tax_code, one.amount) for one in known] == [("CALLS", 50), ("FEES", -20)]
    last = run(world("80", unused=Decimal(10), earlier=known))
    assert [(line.type, line.tax_code, line.amount.amount) for line in last.lines[2:4]] == [
        ("CHARGE", "FEES", 20),
        ("CREDIT", "CALLS", -50),
    ]
    assert untaxed(last) == 30
    assert last.total() + early.total() == run(world("80", unused=Decimal(10))).total()


def test_no_discount_is_spread_over_what_an_earlier_invoice_gave_back():
    """10 % of 80.00 of calls alone: 7.20 of tax on them, 4.00 less for 20.00 of the fee."""
    deal = {"unused": Decimal(10), "contract": contract(discount_percent=10)}
    early = run(so_far(world("50", **deal), now=MID))
    last = run(world("80", earlier=asked(early, 2), **deal))
    taxes = [draft.total(LineType.TAX_ADJUSTMENT) for draft in (early, last)]
    assert taxes == [Decimal("0.50"), Decimal("2.70")]
    assert run(world("80", **deal)).total(LineType.TAX_ADJUSTMENT) == Decimal("3.20")


def test_no_discount_is_spread_over_discounts_on_what_is_given_back():
    """60.00 of a fee less half, and 100.00 of calls less half: 5.00 of tax less 6.00."""
    given = world("100", unused=Decimal(30), contract=contract(discount_percent=50))
    paid = replace(given.paid[0], taken_off=Decimal(31))
    draft = run(replace(given, paid=(paid,)))
    assert (untaxed(draft), draft.total(LineType.TAX_ADJUSTMENT)) == (20, -1)


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.decimals(0, 40, places=2), st.booleans()), max_size=6),
    unused=st.integers(0, 31).map(Decimal),
    bought=st.sampled_from(sorted(BOUGHT)),
)
def test_with_refunds_and_two_tax_codes_the_parts_sum_to_the_single_invoice(steps, unused, bought):
    known, parts, used = (), Decimal(0), Decimal(0)
    fields = {"unused": unused} | BOUGHT[bought]
    for number, (quantity, is_cut) in enumerate(steps):
        used += quantity
        if is_cut:
            now = run(so_far(world(used, earlier=known, **fields), now=MID))
            if now.total() > 0:
                parts += untaxed(now)
                known += asked(now, number)
    single = run(world(used, **fields))
    last = run(replace(world(used, **fields), earlier=known))
    assert parts + untaxed(last) == untaxed(single)
    assert last.total() >= 0
