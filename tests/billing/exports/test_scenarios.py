"""Every invoice of the scenarios that come with Aforo is proven by verify.py alone.

Those of `tests/scenarios` are told apart by what they sell; here it is enough that each kind is.
"""

import json
from pathlib import Path

import pytest

from billing import simulations as builtin
from billing.models import Invoice
from billing.simulations import runner, scenario
from billing.simulations.outcomes import Outcomes
from tests.billing.exports.dossiers import judged, unpacked

FOLDER = Path(builtin.__file__ or "").parent / "builtin"
LARGE = 1_500  # events, above which a scenario is a slow test


def _file(path):
    steps = json.loads(path.read_bytes())["steps"]
    events = sum(step["usage"]["events"] for step in steps if "usage" in step)
    marks = [pytest.mark.slow] if events > LARGE else []
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.django_db
@pytest.mark.parametrize("path", [_file(path) for path in sorted(FOLDER.glob("*.json"))])
def test_its_invoices_are_proven_without_us(path, tmp_path, monkeypatch):
    said = []

    def audited(outcomes):
        invoices = Invoice.objects.for_tenant(outcomes._world.tenant).order_by("pk")
        said.extend(judged(unpacked(one, tmp_path / str(one.pk))) for one in invoices)
        return []

    monkeypatch.setattr(Outcomes, "told_invoices", audited)
    runner.run(scenario.parse(path.read_bytes()))
    assert [text for code, text in said if code] == []
