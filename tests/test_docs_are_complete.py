"""The pages that list things list all of them: settings, periodic tasks, codes of refusals."""

import re
from pathlib import Path

import pytest
import yaml

from aforo.celery import app

ROOT = Path(__file__).parents[1]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
METERING = (ROOT / "docs/metering.md").read_text()
ADRS = sorted((ROOT / "docs/adr").glob("0*.md"))

API = (ROOT / "docs/api.md").read_text()


def found_in(folder, pattern):
    sources = (path.read_text() for path in sorted((ROOT / folder).rglob("*.py")))
    return sorted({match for source in sources for match in re.findall(pattern, source)})


@pytest.mark.parametrize(
    "name", re.findall(r'env\.\w+\(\s*"(\w+)"', (ROOT / "aforo/settings.py").read_text())
)
def test_every_setting_is_explained(name):
    assert f"| `{name}` |" in OPERATIONS


@pytest.mark.parametrize("task", sorted({row["task"] for row in app.conf.beat_schedule.values()}))
def test_every_periodic_task_is_explained(task):
    assert f"| `{task}` |" in OPERATIONS


@pytest.mark.parametrize("code", found_in("metering/ingest", r'Refusal\(\s*"([A-Z_]+)"'))
def test_every_code_of_a_refused_event_is_explained(code):
    assert f"| `{code}` |" in METERING


@pytest.mark.parametrize("code", found_in("metering", r'code="([A-Z_]+)"'))
def test_every_code_of_a_refused_request_is_explained(code):
    assert f"| `{code}` |" in METERING


@pytest.mark.parametrize(
    "path", sorted(yaml.safe_load((ROOT / "docs/openapi.yaml").read_text())["paths"])
)
def test_every_route_is_listed(path):
    assert re.search(rf"`(\w+ )*{re.escape(path)}`", API)


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_every_decision_is_listed_and_complete(page):
    text = page.read_text()
    assert f"]({page.name})" in (page.parent / "README.md").read_text()
    for heading in ("Context", "Decision", "Consequences", "Alternatives"):
        assert f"\n## {heading}\n" in text
    assert text.count("\n") <= 60  # one page


@pytest.mark.parametrize(
    "page",
    sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("*.md")),
    ids=lambda page: page.name,
)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            slugs = {
                re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
            }
            assert anchor in slugs, target
