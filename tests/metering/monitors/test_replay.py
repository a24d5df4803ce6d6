"""Some weeks of generated usage: what was planted is found. The slow tests replay a year."""

import pytest

from tests.metering.monitors.generated import DAY, generate, office_hours, steady
from tests.metering.monitors.replay import replay


@pytest.mark.django_db
def test_planted_spikes_are_found_and_little_else():
    hours = 40 * DAY
    customers = generate("some weeks", hours, shapes=(steady, office_hours))
    found = replay(customers, 26 * DAY, sigma=4)
    planted = sum(spike < 26 * DAY for one in customers for spike in one.spikes)
    assert found["spikes"] == found["spikes found"] == planted == 2
    assert found["false USAGE_ANOMALY"] <= 10


def test_the_same_seed_gives_the_same_usage():
    first, second, other = (generate(seed, 60 * DAY) for seed in ("a", "a", "b"))
    assert first == second
    assert first != other
    assert all(one.spikes for one in first)
