"""QuotaCheck: hard caps are recorded, nothing else."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.pipeline.quota_check import check_quota
from tests.billing.pipeline.build import BLOCK, PER_UNIT, facts, opened, usage_fact


@pytest.mark.parametrize(("rollover", "cap"), [("0", "1000"), ("250.5", "1250.5")])
def test_a_hard_cap_is_the_included_units_and_the_rollover(rollover, cap):
    given = facts(usage=[usage_fact("5", BLOCK)])
    draft = opened(given)
    draft = replace(draft, usage=(replace(draft.usage[0], rollover=Decimal(rollover)),))
    after = check_quota(draft, given)
    assert after.usage[0].cap == Decimal(cap)
    assert after.notes == (f"Plan 1: calls: hard cap at {cap}",)


@pytest.mark.parametrize(
    "terms",
    [PER_UNIT, BLOCK | {"ovBehavior": "IGNORE"}, BLOCK | {"ovBehavior": "CHARGE", "rate": 1}],
)
def test_other_terms_have_no_cap(terms):
    given = facts(usage=[usage_fact("5000", terms)])
    assert check_quota(opened(given), given) == opened(given)


def test_one_cap_leaves_the_other_units_alone():
    given = facts(usage=[usage_fact("1", BLOCK), usage_fact("1", unit="tokens", number=2)])
    assert [usage.cap for usage in check_quota(opened(given), given).usage] == [1000, None]
