"""The worlds of `tests/billing/test_every_pipeline.py`, more and larger ones."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.billing import small_world_plays as plays
from tests.billing import small_worlds

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
many = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(small_worlds.worlds(rounds=7, events=30))
def test_every_truth_holds_after_every_step(world):
    plays.assert_true_throughout(world)


@many
@given(small_worlds.orders(events=80))
def test_the_order_of_events_changes_no_invoice(ways):
    plays.assert_same_invoices(*ways)


@many
@given(small_worlds.progresses(rounds=6, events=20))
def test_invoices_of_usage_so_far_sum_to_the_single_one(ways):
    plays.assert_same_sums(*ways)
