"""A running installation as tests see it: over HTTP with keys, in its tables, and from inside."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import psycopg
import pytest

from aforo.demo.client import Seller
from aforo.embedded.home import Home
from aforo.embedded.premade import copy_cluster
from aforo.embedded.probes import bindable
from aforo.embedded.stack import Stack
from aforo.testing import PREMADE
from tests.waiting import eventually

OF_THE_TEST_RUN = (
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "SECRET_KEY",
    "STATIC_ROOT",
    "AFORO_STATIC_STORAGE",
    "AFORO_STATIC_UNCOLLECTED",
    "AFORO_CHECK_FACTS",
)
ROOT = Path(__file__).resolve().parents[2]
AFORO = (sys.executable, "-c", "from aforo.cli import main; main()")
READY = "Ctrl-C stops everything."
PATIENCE = 180.0  # seconds; the machine may have other things to do
_INSIDE = "import django; django.setup(); from tests.slow import inside; inside.answer_questions()"


class Inside:
    """A process with Django in it that answers questions about one installation."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _INSIDE],
            env=self.environment | {"PYTHONPATH": str(ROOT), "LOG_LEVEL": "WARNING"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str, **options: object) -> Any:
        self._process.stdin.write(json.dumps([question, options]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Tenant:
    """One seeded sandbox of an installation."""

    inside: Inside
    url: str
    tenant_id: str
    metering_key: str
    operator_key: str

    @classmethod
    def seeded(cls, inside: Inside, url: str, *, start: datetime) -> Self:
        return cls(inside, url, **inside.ask("seed", start=start.isoformat()))

    def seller(self) -> Seller:
        return Seller(self.url, metering_key=self.metering_key, operator_key=self.operator_key)

    def account(self) -> dict[str, int]:
        """Where its events are; places that are empty are left out."""
        places = self.inside.ask("account", tenant_id=self.tenant_id)
        return {place: count for place, count in places.items() if count}

    def flaws(self) -> dict[str, list[str]]:
        return self.inside.ask("flaws", tenant_id=self.tenant_id)

    def rows(self, sql: str, *values: object) -> list[tuple]:
        """Rows of the installation's database; %s stands for the tenant first."""
        with self.database() as connection:
            return connection.execute(sql, (self.tenant_id, *values)).fetchall()

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.inside.environment["DATABASE_URL"]) as connection:
            yield connection

    def waiting(self) -> int:
        ((rows,),) = self.rows("SELECT count(*) FROM inbox_batches WHERE tenant_id = %s")
        return rows

    def has_drained(self, *, within: float = PATIENCE) -> bool:
        return eventually(lambda: self.waiting() == 0, within=within)

    @contextmanager
    def locked_totals(self, customer: str) -> Iterator[None]:
        """Hold up whoever counts or bills usage of this customer."""
        with self.database() as connection:
            locked = connection.execute(
                """
                SELECT t.id FROM running_totals t
                JOIN subscriptions s ON s.id = t.subscription_id
                JOIN customers c ON c.id = s.customer_id
                WHERE t.tenant_id = %s AND c.external_id = %s FOR UPDATE OF t
                """,
                (self.tenant_id, customer),
            ).fetchall()
            assert locked
            yield

    def somebody_waits_for_a_lock(self) -> bool:
        ((waiting,),) = self.rows(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND %s::uuid IS NOT NULL"
        )
        return waiting > 0

    def totals(self) -> dict[tuple[str, str], Decimal]:
        """What each customer owes for each month."""
        billed = """
            SELECT c.external_id, to_char(i.period_start_at, 'YYYY-MM'), i.total
            FROM invoices i JOIN customers c ON c.id = i.customer_id WHERE i.tenant_id = %s
        """
        return {(customer, month): total for customer, month, total in self.rows(billed)}

    def invoice_count(self) -> int:
        ((count,),) = self.rows("SELECT count(*) FROM invoices WHERE tenant_id = %s")
        return count

    def bill(self, *, start: datetime, end: datetime) -> None:
        """Let the clock pass `end`, and bill everything up to there."""
        with self.seller() as seller:
            seller.advance_clock(end + timedelta(seconds=1))
            seller.bill(start=start, end=end)


@contextmanager
def own_stack() -> Iterator[Stack]:
    """A stack with servers of its own, in a folder of its own that is gone afterwards."""
    with pytest.MonkeyPatch.context() as patch, migrated_folder() as folder:
        forget_servers(patch)
        with Stack(data_dir=folder, port=0) as stack:
            yield stack


def forget_servers(environment: pytest.MonkeyPatch) -> None:
    """Forget the servers of this test run, so that a stack starts its own."""
    for name in OF_THE_TEST_RUN:
        environment.delenv(name, raising=False)


def give_migrated_cluster(folder: Path) -> None:
    """Leave there what the first start of a stack would make, which takes it long."""
    if PREMADE in os.environ:
        copy_cluster(Path(os.environ[PREMADE]), folder)


@contextmanager
def migrated_folder() -> Iterator[Path]:
    """One in which a stack finds its database as its first start would leave it."""
    with own_folder() as folder:
        give_migrated_cluster(folder)
        yield folder


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach, unlike pytest's own when root runs the tests."""
    with TemporaryDirectory(prefix="aforo-test-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path


class Running:
    """An `aforo up` or `aforo demo` in a process of its own, which a test can kill.

    `told` is what it has printed until it was ready.
    """

    def __init__(self, data_dir: Path, command: str, *options: str) -> None:
        self.home = Home(data_dir)
        self.port = bindable(0)
        self.url = f"http://127.0.0.1:{self.port}"
        self.told = ""
        self._command = (*AFORO, command, *options)
        self._process = self._start()

    def inside(self) -> Inside:
        return Inside(own_environment() | self.home.published())

    def kill_and_start_again(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.interrupt()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=PATIENCE)
        return self._process.returncode

    def _start(self) -> subprocess.Popen:
        """Start it and wait until it says that it is ready."""
        where = ("--data-dir", str(self.home.root), "--port", str(self.port))
        process = subprocess.Popen(
            [*self._command, *where], env=own_environment(), stdout=subprocess.PIPE, text=True
        )
        lines = []
        for line in process.stdout:
            lines.append(line)
            if READY in line:
                self.told = "".join(lines)
                return process
        process.communicate()
        raise AssertionError("".join(lines))


def aforo(*arguments: str) -> subprocess.CompletedProcess:
    """Run one command of the product to its end."""
    return subprocess.run(
        [*AFORO, *arguments],
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def own_environment() -> dict[str, str]:
    """Ours without the servers of the test run; what is printed has room."""
    ours = {name: value for name, value in os.environ.items() if name not in OF_THE_TEST_RUN}
    return ours | {"COLUMNS": "160"}
