"""Any small catalog, any usage, any clock, through the real doors, the drain and the ten stages."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.billing import small_world_plays as plays
from tests.billing import small_worlds

pytestmark = pytest.mark.django_db
calm = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@calm
@given(small_worlds.worlds())
def test_every_truth_holds_after_every_step(world):
    plays.assert_true_throughout(world)


@calm
@given(small_worlds.orders())
def test_the_order_of_events_changes_no_invoice(ways):
    plays.assert_same_invoices(*ways)


@calm
@given(small_worlds.progresses())
def test_invoices_of_usage_so_far_sum_to_the_single_one(ways):
    plays.assert_same_sums(*ways)
