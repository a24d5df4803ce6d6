"""Tax: passes the draft through and says so."""

from billing.pipeline.tax import add_tax
from tests.billing.pipeline.build import facts, spent, without_notes


def test_no_tax_is_guessed_and_that_is_said():
    after = add_tax(spent(facts(), "5"), facts())
    assert without_notes(after) == spent(facts(), "5")
    assert after.notes == ("no tax engine configured",)
