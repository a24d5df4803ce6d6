"""Rollover: what earlier periods left over is used first, the oldest of it before the rest."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from billing.pipeline import run
from billing.pipeline.rollover import add_rollover
from tests.billing.pipeline.build import (
    BLOCK,
    facts,
    grant,
    opened,
    usage_fact,
    without_notes,
)

QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": 100, "rate": "1"}
MAY, JUNE = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)


def used(quantity, *grants, terms=QUOTA, **fields):
    rollover = sum((one.units for one in grants), Decimal(0))
    fields = {"rollover": rollover, "grants": grants, "expires_at": JUNE} | fields
    return run(facts(usage=[usage_fact(quantity, terms, **fields)]))


def charges(result):
    (line,) = result.draft.lines
    return [(charge.label, charge.quantity) for charge in line.charges]


def test_nothing_is_carried_over_and_that_is_said():
    given = facts(usage=[usage_fact("5")])
    after = add_rollover(opened(given), given)
    assert without_notes(after) == opened(given)
    assert after.notes == ("no rollover terms on this plan",)


def test_the_oldest_units_are_used_first_and_the_periods_own_last():
    old = grant(30, number=1, month=2)
    new = grant(50, number=2, month=3, expires=JUNE)
    result = used("90", old, new)
    assert charges(result) == [
        ("rolled over from 2024-02-01, until 2024-05-01", 30),
        ("rolled over from 2024-03-01, until 2024-06-01", 50),
        ("included", 10),
        ("left over, to be used until 2024-06-01", 90),
    ]
    assert result.draft.used == ((UUID(int=71), Decimal(30)), (UUID(int=72), Decimal(50)))
    assert result.draft.granted == ((1, Decimal(90)),)
    assert result.draft.total() == 0


@pytest.mark.parametrize(("quantity", "due"), [("150", 0), ("151", 1), ("200", 50)])
def test_units_carried_over_are_as_free_as_included_ones(quantity, due):
    assert used(quantity, grant(50)).draft.total() == due


def test_units_carried_over_raise_a_hard_cap():
    result = used("1100", grant(50), terms=BLOCK)
    assert ("beyond the hard cap, not billable", Decimal(50)) in charges(result)
    assert result.records[1].after["usage"][0]["cap"] == "1050"


@pytest.mark.parametrize(
    ("cap", "granted"), [(None, 100), ("80", 30), ("50", None), ("0", None), ("500", 100)]
)
def test_a_cap_is_on_all_that_is_carried_over_together(cap, granted):
    lasting = grant(50, expires=JUNE)
    result = used("0", lasting, rollover_cap=None if cap is None else Decimal(cap))
    expected = () if granted is None else ((1, Decimal(granted)),)
    assert result.draft.granted == expected


def test_what_expires_makes_room_below_the_cap_and_is_noted():
    result = used("20", grant(50), rollover_cap=Decimal(80))
    assert result.draft.granted == ((1, Decimal(80)),)
    assert result.records[3].notes == (
        "Plan 1: calls: 20 of 150 free units used",
        "Plan 1: calls: 80 included units left over, until 2024-06-01",
        "Plan 1: calls: 30 units rolled over from 2024-03-01 have expired",
    )


@pytest.mark.parametrize(("goes_on", "held"), [(None, 50), (MAY, 50), (JUNE, 0)])
def test_what_expires_before_usage_goes_on_is_not_handed_on(goes_on, held):
    """A pause may be longer than units live."""
    fact = usage_fact(
        "0",
        QUOTA,
        rollover=Decimal(50),
        grants=(grant(50, expires=JUNE),),
        goes_on=True,
    )
    result = run(facts(usage=[fact], next_start=goes_on))
    assert result.draft.passed_on == (((1, Decimal(held)),) if held else ())
    expired = "Plan 1: calls: 50 units rolled over from 2024-03-01 have expired"
    assert (expired in result.records[3].notes) == (not held)


def test_nothing_is_left_over_where_the_plan_does_not_let_it_live_on():
    assert used("20", expires_at=None).draft.granted == ()


def test_the_terms_of_the_line_say_how_many_units_were_free():
    (line,) = used("160", grant(50)).draft.lines
    assert line.terms.included_free == 150
    assert line.terms.charge(Decimal(160)) == line.exact_amount == 10
