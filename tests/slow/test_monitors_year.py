"""A year of hourly usage, generated from a seed and replayed: everything planted is found."""

import pytest

from tests.metering.monitors.generated import DAY, generate
from tests.metering.monitors.replay import replay

pytestmark = pytest.mark.slow
HOURS = 365 * DAY
SEED = "a year"


@pytest.mark.django_db
def test_everything_planted_in_a_year_is_found():
    found = replay(generate(SEED, HOURS), HOURS)
    assert found["spikes"] == found["spikes found"] == 58
    assert found["drops"] == found["drops found"] == 24
    assert found["false USAGE_ANOMALY"] < 0.015 * found["judged"]
    assert found["false USAGE_DROP"] == 0
