"""Every scenario of `tests/scenarios` comes out as it says."""

import json
from pathlib import Path

import pytest

from billing.simulations import runner, scenario
from catalog.models import Customer
from metering.models import UsageEvent

FOLDER = Path(__file__).parents[2] / "scenarios"
LARGE = 5_000  # events, above which a scenario is a slow test


def _file(path):
    steps = json.loads(path.read_bytes())["steps"]
    events = sum(step["usage"]["events"] for step in steps if "usage" in step)
    marks = [pytest.mark.slow] if events > LARGE else []
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", [_file(path) for path in sorted(FOLDER.glob("*.json"))])
@pytest.mark.django_db
def test_a_scenario_comes_out_as_it_says(path):
    report = runner.run(scenario.parse(path.read_bytes()))
    failed = [finding.as_dict() for finding in report.findings if not finding.passed]
    assert not failed, json.dumps(failed, indent=1)
    assert report.findings
    assert not Customer.objects.exists()
    assert not UsageEvent.objects.exists()
