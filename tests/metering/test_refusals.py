"""One table of codes: what the code says, what the catalogue says and what the docs say agree."""

import re
from pathlib import Path

import pytest

from metering.ingest import write
from metering.refusals import NOT_REPLAYABLE, REASONS, mend_for

ROOT = Path(__file__).parents[2]
SAID = re.compile(r'Refusal\(\s*"([A-Z_]+)"')
COSTS = ROOT / "metering/ingest/costs.py"  # reports of costs never become dead letters
SOURCES = {*(ROOT / "metering").rglob("*.py"), *(ROOT / "webhooks").rglob("*.py")} - {COSTS}
ROW = re.compile(r"^\| `([A-Z_]+)` \| ([a-z, ]+) \| (.+) \| (.+) \|$", re.MULTILINE)


def codes_said():
    return {code for path in SOURCES for code in SAID.findall(path.read_text())}


def test_every_code_that_is_said_is_in_the_catalogue():
    assert codes_said() | {write._UNREADABLE} == set(REASONS)


def test_the_docs_show_the_catalogue_as_it_is():
    text = (ROOT / "docs/metering.md").read_text()
    section = text.partition("## Codes of refused events")[2].partition("\n## ")[0]
    shown = [match.groups() for match in ROW.finditer(section)]
    assert shown == [reason[:4] for reason in REASONS.values()]


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_every_code_says_what_it_means_and_what_mends_it(reason):
    assert reason.means
    assert mend_for(reason.code) == reason.mend != ""
    assert len(reason.code) <= 40  # the column


def test_only_what_cannot_be_opened_or_was_nobodys_to_send_cannot_be_replayed():
    assert NOT_REPLAYABLE == ("OTHER_CUSTOMER", "UNREADABLE_BATCH")
    assert mend_for("A_CODE_OF_YESTERDAY") == ""
