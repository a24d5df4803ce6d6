"""kill -9 in the middle of a file: whoever goes on counts each row once, over HTTP and by hand."""

import subprocess
from datetime import timedelta

import httpx
import pytest

from aforo.embedded.stack import Stack
from tests.slow.installations import AFORO, PATIENCE, Tenant, own_environment
from tests.slow.load import START
from tests.waiting import eventually

pytestmark = pytest.mark.slow

ROWS = 60_000


def csv_of(rows: int) -> str:
    """Rows without keys of their own: file and number make them."""
    lines = (
        f"cust_{number % 5 + 1},input_tokens,{number % 1000},"
        f"{(START + timedelta(seconds=20 * number)).isoformat()}\n"
        for number in range(rows)
    )
    return "customer,metric,quantity,time\n" + "".join(lines)


def progress_of(tenant: Tenant) -> tuple[str, int]:
    ((state, rows),) = tenant.rows(
        "SELECT state, rows_read FROM uploads WHERE tenant_id = %s ORDER BY created_at DESC LIMIT 1"
    )
    return state, rows


def kill_in_a_chunk(stack: Stack, tenant: Tenant) -> None:
    """Hold the reader up in the transaction of a chunk, and kill it there."""
    with tenant.database() as connection:
        mine = (tenant.tenant_id,)
        connection.execute("SELECT FROM uploads WHERE tenant_id = %s FOR UPDATE", mine)
        assert eventually(tenant.somebody_waits_for_a_lock, within=PATIENCE)
        starts = stack.starts_of("worker")
        stack.kill("worker")
        assert eventually(lambda: stack.starts_of("worker") > starts, within=PATIENCE)
        # As if its minute of silence were over.
        silent = (
            "UPDATE uploads SET touched_at = touched_at - interval '1 hour' WHERE tenant_id = %s"
        )
        connection.execute(silent, mine)


def assert_counted_once(tenant: Tenant) -> None:
    assert tenant.has_drained()
    ((count, total),) = tenant.rows(
        "SELECT sum(event_count), sum(quantity) FROM running_totals WHERE tenant_id = %s"
    )
    assert (count, total) == (ROWS, sum(number % 1000 for number in range(ROWS)))
    account = tenant.account()
    assert account == {"received": ROWS, "counted": ROWS}


def test_a_worker_killed_while_it_reads_is_followed_by_one_that_goes_on(stack, inside, tenant):
    with httpx.Client(base_url=stack.url, timeout=60) as http:
        answer = http.post(
            "/v1/ingest/upload",
            files={"file": ("usage.csv", csv_of(ROWS))},
            headers={"Authorization": f"Bearer {tenant.metering_key}"},
        )
    assert answer.status_code == 202, answer.text
    assert eventually(lambda: progress_of(tenant)[1] > 0, within=PATIENCE)
    for _ in range(2):
        kill_in_a_chunk(stack, tenant)

    assert eventually(lambda: progress_of(tenant) == ("COMPLETED", ROWS), within=PATIENCE)
    assert_counted_once(tenant)
    assert inside.ask("broken_truths") == {}


def test_an_import_killed_in_the_middle_goes_on_when_it_is_run_again(
    stack, inside, tenant, tmp_path
):
    path = tmp_path / "usage.csv"
    path.write_text(csv_of(ROWS))
    command = [*AFORO, "import", str(path), "--tenant", tenant.tenant_id]
    environment = own_environment() | dict(stack.environment())

    def start() -> subprocess.Popen:
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    first = start()
    assert eventually(
        lambda: tenant.rows("SELECT 1 FROM uploads WHERE tenant_id = %s AND rows_read > 0"),
        within=PATIENCE,
    )
    first.kill()
    first.communicate()
    state, rows = progress_of(tenant)
    assert (state, 0 < rows < ROWS) == ("PROCESSING", True)

    second = start()
    said, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0
    assert f"{ROWS:,} taken, 0 refused" in said
    assert_counted_once(tenant)
    assert inside.ask("broken_truths") == {}
