"""Tax: a line for each tax, exact, rounded once; nothing guessed."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import Money, round_to_minor
from billing.pipeline import Draft, Line, LineType, TaxFact, TaxRateFact
from billing.pipeline.tax import add_tax
from billing.pipeline.tax_table import NoTaxRate
from tests.billing.pipeline.build import facts, shown, spent, without_notes

VAT = TaxRateFact("VAT", "DE", "", "", Decimal(19))
BOOKS = TaxRateFact("Reduced VAT", "DE", "", "BOOKS", Decimal(7))
CANADA = (
    TaxRateFact("GST", "CA", "", "", Decimal(5)),
    TaxRateFact("QST", "CA", "QC", "", Decimal("9.975")),
)
HOME = TaxFact("TABLE", seller_country="DE", buyer_country="DE", rates=(VAT, BOOKS))


def taxed(draft, tax=HOME, **fields):
    return add_tax(draft, facts(tax=tax, currency=draft.currency, **fields))


def line(amount, *, code="", kind=LineType.CHARGE, currency="EUR", **fields):
    money = Money(Decimal(amount), currency)
    return Line("Rate", kind, "spent", money, money.amount, tax_code=code, **fields)


def draft(*lines, currency="EUR"):
    return Draft(currency).adding(*lines)


def tax_lines_of(after):
    return [one for one in shown_types(after) if one[0] == "TAX_ADJUSTMENT"]


def shown_types(after):
    return [(one.type.value, one.description, str(one.amount.amount)) for one in after.lines]


def test_without_an_engine_there_is_no_tax_and_that_is_said():
    after = add_tax(spent(facts(), "5"), facts())
    assert without_notes(after) == spent(facts(), "5")
    assert after.notes == ("no tax engine configured",)


def test_tax_comes_on_top_by_rate_and_names_its_base():
    after = taxed(draft(line("100.00"), line("20.00", code="BOOKS"), line("5.00")))
    assert tax_lines_of(after) == [
        ("TAX_ADJUSTMENT", "Reduced VAT 7 % on 20.00", "1.40"),
        ("TAX_ADJUSTMENT", "VAT 19 % on 105.00", "19.95"),
    ]
    assert [one.tax_percent for one in after.lines] == [19, 7, 19, 7, 19]
    assert after.total() == Decimal("146.35")
    assert after.notes == ("Reduced VAT 7 % on 20.00", "VAT 19 % on 105.00")


def test_a_tax_is_rounded_once_half_to_even_and_keeps_what_it_was():
    after = taxed(draft(line("0.50"), line("0.50"), line("0.50")))
    assert tax_lines_of(after) == [("TAX_ADJUSTMENT", "VAT 19 % on 1.50", "0.28")]
    assert after.lines[-1].exact_amount == Decimal("0.285")


def test_two_taxes_on_one_line():
    tax = TaxFact("TABLE", seller_country="CA", buyer_country="CA", buyer_region="QC", rates=CANADA)
    after = taxed(draft(line("100.00", currency="CAD"), currency="CAD"), tax)
    assert tax_lines_of(after) == [
        ("TAX_ADJUSTMENT", "GST 5 % on 100.00", "5.00"),
        ("TAX_ADJUSTMENT", "QST 9.975 % on 100.00", "9.98"),
    ]
    assert after.lines[0].tax_percent == Decimal("14.975")


def test_discounts_are_taken_off_before_tax():
    after = taxed(
        draft(
            line("100.00", version_id=UUID(int=1)),
            line("50.00", code="BOOKS", version_id=UUID(int=2)),
            line("-30.00", kind=LineType.DISCOUNT, version_id=UUID(int=2)),
            line("-12.00", kind=LineType.DISCOUNT),
        )
    )
    assert tax_lines_of(after) == [
        ("TAX_ADJUSTMENT", "Reduced VAT 7 % on 18.00", "1.26"),
        ("TAX_ADJUSTMENT", "VAT 19 % on 90.00", "17.10"),
    ]


def test_contained_tax_is_shown_and_the_total_stays():
    tax = replace(HOME, inclusive=True)
    after = taxed(draft(line("100.00"), line("-10.00", kind=LineType.DISCOUNT)), tax)
    assert shown_types(after)[2:] == [
        ("CREDIT", "Tax contained in the prices", "-14.37"),
        ("TAX_ADJUSTMENT", "VAT 19 % contained in 90.00", "14.37"),
    ]
    assert after.total() == Decimal("90.00")
    assert after.total(LineType.TAX_ADJUSTMENT) == Decimal("14.37")


def test_yen_are_taxed_in_whole_yen():
    rate = TaxRateFact("Consumption tax", "JP", "", "", Decimal(10))
    tax = TaxFact("TABLE", seller_country="JP", buyer_country="JP", rates=(rate,))
    after = taxed(draft(line("1005", currency="JPY"), currency="JPY"), tax)
    assert tax_lines_of(after) == [("TAX_ADJUSTMENT", "Consumption tax 10 % on 1005", "100")]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"exempt": True}, "The customer is exempt from tax"),
        (
            {"buyer_country": "FR", "buyer_number": "FR40303265045"},
            "Reverse charge, Article 196 Council Directive 2006/112/EC",
        ),
        ({"buyer_country": "US"}, "No tax: export to US"),
    ],
)
def test_why_there_is_no_tax_stands_on_the_paper(change, note):
    after = taxed(draft(line("100.00")), replace(HOME, **change))
    assert shown(after)[1:] == [(note, "0.00 EUR")]
    assert after.lines[-1].tax_percent == 0
    assert after.notes == (note,)


def test_usage_taken_back_takes_back_its_tax():
    after = taxed(draft(line("100.00"), line("-20.00", code="BOOKS", kind=LineType.USAGE_FEE)))
    assert tax_lines_of(after) == [
        ("TAX_ADJUSTMENT", "Reduced VAT 7 % on -20.00", "-1.40"),
        ("TAX_ADJUSTMENT", "VAT 19 % on 100.00", "19.00"),
    ]


def test_tax_taken_back_never_takes_the_total_below_zero():
    zero = TaxRateFact("Zero VAT", "DE", "", "FREE", Decimal(0))
    after = taxed(
        draft(line("100.00", code="FREE"), line("-99.00", kind=LineType.USAGE_FEE)),
        replace(HOME, rates=(VAT, zero)),
    )
    assert tax_lines_of(after) == [
        ("TAX_ADJUSTMENT", "VAT 19 % on -99.00", "-1.00"),
        ("TAX_ADJUSTMENT", "Zero VAT 0 % on 100.00", "0.00"),
    ]
    assert after.total() == 0
    assert after.notes[-1] == "VAT 19 % on -99.00: -18.81 held to -1"


def test_nothing_is_taxed_where_nothing_is_owed():
    before = draft(line("10.00"), line("-10.00", kind=LineType.DISCOUNT), line("0.00"))
    assert without_notes(taxed(before, replace(HOME, rates=()))) == before


def test_a_missing_rate_fails_the_stage():
    with pytest.raises(NoTaxRate, match="no rate for DE on 2024-04-30"):
        taxed(draft(line("1.00")), replace(HOME, rates=()))


def test_a_fee_in_advance_bears_the_rate_of_the_period_it_pays_for():
    may, june = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    until, since = replace(VAT, valid_until=may), replace(VAT, percent=Decimal(21), valid_from=may)
    after = taxed(
        draft(line("100.00"), line("100.00", covers=(may, june))),
        replace(HOME, rates=(until, since)),
    )
    assert tax_lines_of(after) == [
        ("TAX_ADJUSTMENT", "VAT 21 % on 100.00", "21.00"),
        ("TAX_ADJUSTMENT", "VAT 19 % on 100.00", "19.00"),
    ]


def test_an_external_engine_is_left_to_be_asked():
    after = taxed(draft(line("100.00")), TaxFact("HTTP"))
    assert after.tax_pending
    assert after.total() == Decimal("100.00")
    assert after.notes == ("left to the external tax engine",)


@pytest.mark.parametrize("before", [draft(), draft(line("0.00"))])
def test_no_engine_is_asked_about_nothing(before):
    assert not taxed(before, TaxFact("HTTP")).tax_pending


def test_no_engine_is_asked_about_the_exempt():
    after = taxed(draft(line("1.00")), TaxFact("HTTP", exempt=True))
    assert not after.tax_pending
    assert shown(after)[-1] == ("The customer is exempt from tax", "0.00 EUR")


currencies = st.sampled_from([("EUR", 2), ("JPY", 0), ("KWD", 3)])


@st.composite
def drafts(draw):
    currency, places = draw(currencies)
    units = st.integers(-(10**7), 10**9) if draw(st.booleans()) else st.integers(0, 10**9)
    amounts = draw(
        st.lists(st.tuples(units, st.sampled_from(["", "BOOKS"])), min_size=1, max_size=5)
    )
    lines = [
        line(Decimal(unit).scaleb(-places), code=code, currency=currency) for unit, code in amounts
    ]
    before = draft(*lines, currency=currency)
    if before.total() < 0:
        before = before.adding(line(-before.total(), currency=currency))
    return before


def tax_of(after):
    return after.total(LineType.TAX_ADJUSTMENT)


@given(drafts(), st.booleans())
def test_taxes_by_rate_add_up_to_the_tax_of_the_invoice(before, inclusive):
    after = taxed(before, replace(HOME, inclusive=inclusive))
    lines = [one for one in after.lines if one.type is LineType.TAX_ADJUSTMENT]
    assert tax_of(after) == sum(one.amount.amount for one in lines)
    assert after.total() == before.total() + (0 if inclusive else tax_of(after))
    assert after.total() >= 0


@given(drafts(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_lines_changes_no_tax(before, inclusive, random):
    tax = replace(HOME, inclusive=inclusive)
    other = replace(before, lines=tuple(random.sample(before.lines, len(before.lines))))
    assert tax_lines_of(taxed(before, tax)) == tax_lines_of(taxed(other, tax))


@given(currencies, st.integers(0, 10**12), st.integers(0, 40_000))
def test_inclusive_and_exclusive_agree_within_a_minor_unit(money, units, thousandths):
    currency, places = money
    rate = replace(VAT, percent=Decimal(thousandths).scaleb(-3))
    tax = replace(HOME, rates=(rate,))
    net = draft(line(Decimal(units).scaleb(-places), currency=currency), currency=currency)
    on_top = taxed(net, tax)
    gross = draft(line(on_top.total(), currency=currency), currency=currency)
    contained = taxed(gross, replace(tax, inclusive=True))
    assert abs(tax_of(contained) - tax_of(on_top)) <= Decimal(1).scaleb(-places)


@given(drafts())
def test_each_line_of_tax_is_its_base_times_its_percentage(before):
    after = taxed(before)
    held = any("held to" in note for note in after.notes)
    for one in after.lines:
        if one.type is LineType.TAX_ADJUSTMENT and not held:
            assert one.amount.amount == round_to_minor(one.exact_amount, before.currency)
