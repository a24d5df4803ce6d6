"""`aforo demo` as a person sees it: traffic of every kind becomes invoices that can be proven.

One demonstration stays up for the tests that need a running installation.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from pathlib import Path

import psycopg
import pytest

from aforo.demo.trace import COLUMNS, Trace
from aforo.embedded.home import Home
from tests.slow.installations import (
    ROOT,
    Inside,
    Running,
    Tenant,
    aforo,
    give_migrated_cluster,
    migrated_folder,
    own_folder,
)
from tests.waiting import eventually

pytestmark = pytest.mark.slow

TRACE = ROOT.parent / "shared/data/azure_llm_inference_code_2023.csv"
TOTALS = {  # of the trace, computed by others
    "cust_1": Decimal("63.07"),
    "cust_2": Decimal("62.86"),
    "cust_3": Decimal("62.99"),
    "cust_4": Decimal("62.69"),
    "cust_5": Decimal("63.19"),
}
EVENTS = 26_457  # of the trace
CODES = {  # of every way in which generated traffic is refused
    "INVALID_EVENT",
    "INVALID_QUANTITY",
    "INVALID_TIMESTAMP",
    "TIMESTAMP_IN_FUTURE",
    "TIMESTAMP_TOO_OLD",
    "UNKNOWN_METRIC",
    "UNKNOWN_CUSTOMER",
    "NO_SUBSCRIPTION",
    "IDEMPOTENCY_CONFLICT",
}
CENT = Decimal("0.01")
needs_trace = pytest.mark.skipif(not TRACE.exists(), reason="the trace is not here")


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    """A demonstration with traffic of its own, told to its end and left up."""
    with migrated_folder() as folder:
        output = ("--output", str(folder / "output"))
        with Running(folder, "demo", *output) as demo:
            yield demo


@pytest.fixture(scope="module")
def inside(demo) -> Iterator[Inside]:
    with demo.inside() as inside:
        yield inside


def written(output: Path) -> list[dict]:
    """The invoices in a folder, each of which must be there as PDF too."""
    papers = {path.name for path in output.iterdir()}
    texts = sorted(output.glob("*.json"))
    assert papers == {path.with_suffix(end).name for path in texts for end in (".json", ".pdf")}
    assert all(path.with_suffix(".pdf").read_bytes().startswith(b"%PDF") for path in texts)
    return [json.loads(path.read_text()) for path in texts]


def equation(told: str) -> Counter[str]:
    """The numbers of the line that accounts for every event, by place."""
    (line,) = re.findall(r"^.* received = .*: holds$", told, re.MULTILINE)
    return Counter(
        {place: int(count.replace(",", "")) for count, place in re.findall(r"([\d,]+) (\w+)", line)}
    )


def together(told: str) -> Decimal:
    """The last line of the table of invoices."""
    (total,) = re.findall(r"^together +([\d.]+) *$", told, re.MULTILINE)
    return Decimal(total)


def stops_at(folder: Path) -> bool:
    """Whether nothing runs on this data folder: its last child holds the lock."""
    return eventually(lambda: not Home(folder).is_in_use(), within=30)


# --- the trace ---------------------------------------------------------------------------------


@needs_trace
def test_the_trace_becomes_five_proven_invoices_of_314_80_together():
    with own_folder() as folder:
        data, output = folder / "data", folder / "output"
        data.mkdir(mode=0o711)
        give_migrated_cluster(data)
        where = ("--data-dir", str(data), "--port", "0", "--output", str(output))
        ran = aforo("demo", "--trace", str(TRACE), "--exit", *where)

        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert together(ran.stdout) == Decimal("314.80")
        assert ran.stdout.count("VERIFIED") == 5
        assert "Every event passed every gate." in ran.stdout
        assert equation(ran.stdout) == Counter(received=EVENTS, counted=EVENTS)
        totals = {paper["customerExternalId"]: Decimal(paper["total"]) for paper in written(output)}
        assert totals == TOTALS
        assert all(str(total) in ran.stdout for total in TOTALS.values())
        assert stops_at(data)


@needs_trace
def test_a_trace_sent_twice_changes_nothing_but_the_duplicate_count(demo, inside):
    trace = Trace(TRACE)
    tenant = Tenant.seeded(inside, demo.url, start=trace.start)
    with tenant.seller() as seller:
        for _ in range(2):
            for segment in trace.segments():
                seller.freeze_clock(segment.clock)
                for body in segment.bodies:
                    seller.send(body)
            assert tenant.has_drained()

    assert tenant.account() == {
        "received": 2 * EVENTS,
        "counted": EVENTS,
        "duplicates": EVENTS,
    }
    tenant.bill(start=trace.start, end=trace.end)
    assert tenant.totals() == {(customer, "2023-11"): total for customer, total in TOTALS.items()}
    assert not any(tenant.flaws().values())


# --- any other file ----------------------------------------------------------------------------


def test_a_file_over_several_months_bills_each_of_them_to_the_cent(demo, tmp_path):
    """Also a month without usage; rows in any order, times in any zone."""
    path, output = tmp_path / "half-a-year.csv", tmp_path / "output"
    rows = list(half_a_year())
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])

    story = ("--url", demo.url, "--trace", str(path), "--output", str(output))
    ran = aforo("manage", "--data-dir", str(demo.home.root), "demo", *story)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    expected = expected_totals(rows)
    assert len({month for _, month in expected}) == 6
    found = {
        (paper["customerExternalId"], paper["periodStart"][:7]): Decimal(paper["total"])
        for paper in written(output)
    }
    assert found == expected
    assert ran.stdout.count("VERIFIED") == len(expected)
    assert equation(ran.stdout) == Counter(received=3 * len(rows), counted=3 * len(rows))
    assert together(ran.stdout) == sum(expected.values())


def half_a_year() -> Iterator[tuple[str, int, int]]:
    """January to June without February, not in order; token counts that reach every tier."""
    for number in range(90):
        month = (1, 6, 3, 4, 5)[number % 7 % 5]
        at = datetime(2024, month, 1 + number % 28, number % 24, tzinfo=UTC)
        yield f"{at:%Y-%m-%d %H:%M:%S}.1234567", 1 + number * number * 397, number * 1_311
    yield "2024-03-31 23:30:00+00:00", 1_000_000, 0
    yield "2024-04-01T01:30:00+02:00", 0, 333  # still March
    yield "2024-03-31T22:30:00-02:00", 500_000, 500  # April already


def expected_totals(rows: list[tuple[str, int, int]]) -> dict[tuple[str, str], Decimal]:
    """By customer and month: 49.00, tiers, tokens and blocks, each rounded by itself."""
    usage = {}
    months = [f"2024-{month:02}" for month in range(1, 7)]
    for customer in range(1, 6):
        for month in months:
            usage[f"cust_{customer}", month] = [0, 0, 0]
    for row, (text, read, wrote) in enumerate(rows):
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        sums = usage[f"cust_{row % 5 + 1}", f"{moment:%Y-%m}"]
        for place, quantity in enumerate((read, wrote, 1)):
            sums[place] += quantity
    return {whose: expected_total(*map(Decimal, sums)) for whose, sums in usage.items()}


def expected_total(read: Decimal, wrote: Decimal, requests: Decimal) -> Decimal:
    first = min(read, Decimal(1_000_000)) * Decimal("0.000003")
    second = max(Decimal(0), min(read, Decimal(3_000_000)) - 1_000_000) * Decimal("0.0000025")
    third = max(Decimal(0), read - 3_000_000) * Decimal("0.000002")
    blocks = (max(Decimal(0), requests - 1_000) / 100).to_integral_value(ROUND_CEILING)
    lines = (Decimal(49), first + second + third, wrote * Decimal("0.000015"), blocks / 2)
    return sum(line.quantize(CENT, ROUND_HALF_EVEN) for line in lines)


def test_a_file_that_cannot_be_read_is_refused_before_anything_starts(tmp_path):
    path, data = tmp_path / "bad.csv", tmp_path / "data"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01,1,2\n2024-01-01,x,2\n")

    ran = aforo("demo", "--trace", str(path), "--exit", "--port", "0", "--data-dir", str(data))

    assert ran.returncode == 1
    complaint = "line 3: column ContextTokens: 'x' is not a whole number of tokens"
    assert ran.stderr == f"aforo: {path}, {complaint}\n"
    assert not data.exists()


# --- traffic of its own -------------------------------------------------------------------------


def test_generated_traffic_shows_every_gate_at_work(demo):
    places = equation(demo.told)
    found = dict(re.findall(r"^(\w+) {2,}(\d+ [A-Za-z].*?)\s*$", demo.told, re.MULTILINE))

    assert places["received"] == sum(places.values()) - places["received"]
    assert places["duplicates"] > 0
    gates = ["schema", "timestamp", "metric", "idempotency", "contract", "latency"]
    assert list(found) == gates
    letters = re.findall(r"([\d,]+) ([A-Z_]+)", ", ".join(found.values()))
    assert {code for _, code in letters} == CODES
    assert sum(int(count) for count, _ in letters) == places["dead"]
    assert f"{places['duplicates']} duplicates" in found["idempotency"]
    assert re.fullmatch(r"\d+ counted and flagged late", found["latency"])
    assert demo.told.count("VERIFIED") == 5
    assert len(written(demo.home.root / "output")) == 5


def test_the_commands_prove_what_the_demonstration_has_billed(demo):
    verified = aforo("verify", "INV-2026-0001", *of_the(demo))
    checked = aforo("check", "--full", *of_the(demo))

    assert verified.returncode == 0, verified.stderr
    assert "VERIFIED" in verified.stdout
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "BROKEN" not in checked.stdout


def test_one_changed_byte_of_one_event_is_found_and_its_line_named(demo):
    verify = ("verify", "INV-2026-0002", *of_the(demo))

    with one_byte_changed(demo, "INV-2026-0002", line=3):
        broken = aforo(*verify)
    mended = aforo(*verify)

    assert broken.returncode == 1
    assert re.findall(r"^BROKEN  (.*?):", broken.stdout, re.MULTILINE) == ["line 3, events"]
    assert "INV-2026-0002 is BROKEN" in broken.stderr
    assert mended.returncode == 0


@contextmanager
def one_byte_changed(demo: Running, number: str, *, line: int) -> Iterator[None]:
    """Change the first letter of the key of one event behind a line, past every trigger."""
    find = """
        SELECT e.id, e.idempotency_key FROM usage_events e
        JOIN bill_run_event_index s ON s.running_total_id = e.running_total_id
        JOIN invoice_lines l ON l.id = s.line_id
        JOIN invoices i ON i.id = l.invoice_id
        JOIN tenants t ON t.id = i.tenant_id
        WHERE t.slug = %s AND i.number = %s AND l.position = %s
        ORDER BY e.position LIMIT 1 OFFSET 40
    """
    change = "UPDATE usage_events SET idempotency_key = %s WHERE id = %s"
    database = demo.home.published()["DATABASE_URL"]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        event_id, key = connection.execute(find, (slug_of(demo), number, line)).fetchone()
        connection.execute(change, ("X" + key[1:], event_id))
        yield
        connection.execute(change, (key, event_id))


def slug_of(demo: Running) -> str:
    return re.search(r"^Tenant (\S+)$", demo.told, re.MULTILINE).group(1)


def of_the(demo: Running) -> tuple[str, ...]:
    return "--tenant", slug_of(demo), "--data-dir", str(demo.home.root)
