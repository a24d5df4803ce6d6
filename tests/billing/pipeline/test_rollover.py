"""Rollover: passes the draft through and says so."""

from billing.pipeline.rollover import add_rollover
from tests.billing.pipeline.build import facts, opened, usage_fact, without_notes


def test_nothing_is_carried_over_and_that_is_said():
    given = facts(usage=[usage_fact("5")])
    after = add_rollover(opened(given), given)
    assert without_notes(after) == opened(given)
    assert after.notes == ("no rollover terms on this plan",)
