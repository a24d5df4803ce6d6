"""Earlier invoices of the same period are taken off last, and all of them make the single one."""

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from billing.pipeline import EarlierFact, LineType, TaxFact, TaxRateFact, run
from tests.billing.pipeline.build import facts, plan, shown, usage_fact


def asked(amount, number="INV-7"):
    return EarlierFact(UUID(int=9), number, Decimal(amount))


def test_what_was_asked_for_is_a_credit_after_discounts():
    pro = plan(base_fee=10, discount_percent=50)
    draft = run(facts(pro, usage=[usage_fact("1000")], earlier=(asked("4"),))).draft
    assert shown(draft)[2:] == [
        ("Plan 1: discount of 50 %", "-10.00 USD"),
        ("Usage so far: asked for with INV-7", "-4.00 USD"),
    ]
    assert draft.lines[-1].type is LineType.CREDIT


def test_no_invoice_is_below_zero_for_what_was_asked_before():
    result = run(facts(usage=[usage_fact("100")], earlier=(asked("4"), asked("1", ""))))
    assert result.draft.total() == 0
    assert result.records[6].notes == (
        "Usage so far: asked for with INV-7: 4 held to 1",
        "Usage so far: asked for with an earlier invoice: 1 held to 0",
    )


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=4),
    st.integers(0, 100),
    st.integers(0, 500),
)
def test_invoices_of_usage_so_far_and_the_last_one_come_to_the_single_one(steps, percent, fixed):
    pro = plan(discount_percent=percent, discount_amount=fixed)
    earlier, used = [], 0
    for step in steps:
        used += step
        so_far = run(facts(pro, usage=[usage_fact(used)], earlier=tuple(earlier))).draft
        earlier.append(asked(so_far.total()))
    single = run(facts(pro, usage=[usage_fact(used)])).draft
    assert sum(one.amount for one in earlier) == single.total()


def test_it_is_taken_off_usage_of_its_tax_code_so_that_taxes_come_to_those_of_the_single_one():
    reduced, full = (
        TaxRateFact("VAT", "DE", "", code, Decimal(rate)) for code, rate in (("A", 7), ("", 19))
    )
    home = TaxFact("TABLE", seller_country="DE", buyer_country="DE", rates=(reduced, full))
    calls = usage_fact("10000", tax_code="A")
    texts = usage_fact("5000", number=2, unit="texts")
    before = (EarlierFact(UUID(int=9), "INV-7", Decimal(60), "A"),)
    last = run(facts(plan(base_fee=100), usage=[calls, texts], tax=home, earlier=before)).draft
    assert [one[1] for one in shown(last)[-2:]] == ["28.50 USD", "2.80 USD"]
    single = run(facts(plan(base_fee=100), usage=[calls, texts], tax=home)).draft
    assert last.total() + Decimal("64.20") == single.total()
