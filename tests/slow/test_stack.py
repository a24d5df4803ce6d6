"""The whole stack: started, killed in parts and as a whole, stopped."""

import contextlib
import http.client
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from aforo.embedded.home import AlreadyRunning
from aforo.embedded.probes import RoundTrip, http_answers
from aforo.embedded.processes import StackError
from aforo.embedded.stack import Stack
from tests.slow.installations import forget_servers, give_migrated_cluster
from tests.waiting import eventually, is_alive

pytestmark = pytest.mark.slow

PARTS = ("postgres", "valkey", "web", "stream", "worker", "beat")
AFORO = ("-c", "from aforo.cli import main; main()")
SETPRIV = shutil.which("setpriv")
NOBODY = pwd.getpwnam("nobody").pw_uid
READY = "Ctrl-C stops everything."


def tree() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process that runs."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            found[int(folder.name)] = (int(fields[1]), command)
    return found


def descendants(pid: int) -> set[int]:
    processes = tree()
    found, more = set(), {pid}
    while more:
        found |= more
        more = {child for child, (parent, _) in processes.items() if parent in more} - found
    return found - {pid}


def owners(pids: set[int]) -> set[int]:
    """The users of those that still run: a connection of PostgreSQL may have ended meanwhile."""
    found = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            found.add(Path(f"/proc/{pid}").stat().st_uid)
    return found


def get(url: str, path: str) -> int:
    """The status of an answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def answers(stack: Stack) -> bool:
    with psycopg.connect(stack.database_url) as connection:
        connection.execute("SELECT 1 FROM django_migrations LIMIT 1")
    with redis.Redis.from_url(stack.redis_url) as client:
        client.ping()
    port = int(stack.url.rpartition(":")[2])
    trip = RoundTrip(stack.environment()["CELERY_BROKER_URL"])
    return http_answers(port) and eventually(trip.has_returned, within=30)


class Up:
    """An `aforo up` in a process of its own, by which its output can be read."""

    def __init__(self, data_dir: Path, *become: str) -> None:
        """`become` is what runs it as somebody else."""
        command = [*become, sys.executable, *AFORO, "up", "--data-dir", data_dir, "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def lines_until_ready(self) -> str:
        """What it has shown until it is ready, which it must become."""
        shown = ""
        while READY not in shown:
            line = self.process.stdout.readline()
            assert line, shown
            shown += line
        return shown

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def stack(module_folder) -> Iterator[Stack]:
    stack = Stack(data_dir=module_folder, port=0)
    with pytest.MonkeyPatch.context() as environment:
        forget_servers(environment)
        stack.start()
    yield stack
    stack.stop()


def test_a_stack_answers(stack):
    assert answers(stack)
    assert get(stack.url, "/admin/login/") == 200
    assert get(stack.url, "/static/admin/css/base.css") == 200
    assert oct((stack.home.root / "environment.json").stat().st_mode)[-3:] == "600"


def test_a_second_stack_on_the_same_folder_is_refused_and_harms_nothing(stack):
    with pytest.raises(AlreadyRunning, match=f"in use by process {os.getpid()}"):
        Stack(data_dir=stack.home.root, port=0).start()

    assert answers(stack)


@pytest.mark.parametrize("part", PARTS)
def test_what_is_killed_is_started_again_and_all_answers(stack, part):
    starts, theirs = stack.starts_of(part), {stack.pid_of(part)} | descendants(stack.pid_of(part))

    stack.kill(part)

    assert eventually(lambda: stack.starts_of(part) > starts, within=30)
    assert eventually(lambda: not any(map(is_alive, theirs)))
    assert eventually(lambda: is_answering(stack), within=60)


def test_the_pool_of_a_worker_that_is_killed_alone_goes_with_it(stack):
    starts, worker = stack.starts_of("worker"), stack.pid_of("worker")
    assert eventually(lambda: descendants(worker))
    pool = descendants(worker)

    os.kill(worker, signal.SIGKILL)

    assert eventually(lambda: not any(map(is_alive, pool)))
    assert eventually(lambda: stack.starts_of("worker") == starts + 1)


def test_a_stopped_stack_leaves_nothing_running_and_the_next_one_finds_what_it_kept(
    start_stack, folder
):
    """In a folder whose name is too long for sockets."""
    home = folder / ("x" * 150)
    home.mkdir(mode=0o711)
    give_migrated_cluster(home)
    first = start_stack(data_dir=home)
    everything = descendants(os.getpid())
    assert {first.pid_of(part) for part in PARTS} <= everything
    with psycopg.connect(first.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    secrets = first.admin_password, first.environment()["SECRET_KEY"]
    sockets = Path(urlsplit(first.redis_url).path).parent

    first.stop()

    assert not [first.pid_of(part) for part in PARTS if is_alive(first.pid_of(part))]
    assert sockets.parent == Path("/tmp")
    assert not sockets.exists()
    assert not (home / "environment.json").exists()

    second = start_stack(data_dir=home)
    with psycopg.connect(second.database_url) as connection:
        assert connection.execute("SELECT seven FROM kept").fetchone() == (7,)
    assert (second.admin_password, second.environment()["SECRET_KEY"]) == secrets


def test_servers_that_the_environment_names_are_used_instead_of_ours(folder):
    with Stack(data_dir=folder, port=0) as stack:
        assert answers(stack)
        assert stack.database_url == os.environ["DATABASE_URL"]
        with pytest.raises(KeyError):
            stack.pid_of("postgres")

    assert not (folder / "pg18").exists()


def test_a_stack_with_a_broken_part_says_why_and_stops(start_stack, monkeypatch, folder):
    monkeypatch.setenv("LOG_FORMAT", "no-such-format")

    with pytest.raises(StackError, match=r"(?s)prepare ended with exit code 1:.*no-such-format"):
        start_stack()

    assert "database system is shut down" in (folder / "logs/postgres.log").read_text()


@pytest.mark.usefixtures("own_servers")
def test_up_shows_where_to_go_and_ends_at_the_first_of_two_interrupts(folder):
    give_migrated_cluster(folder)
    with Up(folder) as up:
        shown = up.lines_until_ready()
        everything = descendants(up.process.pid)
        assert (folder / "admin-password").read_text() in shown
        assert "[X] 0001_initial" in manage(folder, "showmigrations", "tenancy").stdout

        up.process.send_signal(signal.SIGINT)
        up.process.send_signal(signal.SIGINT)

        assert up.process.wait(timeout=60) == 0
        assert not [pid for pid in everything if is_alive(pid)]

    refused = manage(folder, "check")
    assert refused.returncode == 1
    assert f"nothing runs in {folder}" in refused.stderr


@pytest.mark.usefixtures("own_servers")
def test_nothing_is_left_of_a_killed_up_and_one_started_at_once_waits_for_that(folder):
    give_migrated_cluster(folder)
    with Up(folder) as first:
        first.lines_until_ready()
        everything = descendants(first.process.pid)

        first.process.kill()
        first.process.wait()

        with Up(folder) as second:
            second.lines_until_ready()
            assert not [pid for pid in everything if is_alive(pid)]

            everything = descendants(second.process.pid)
            second.process.kill()
            assert eventually(lambda: not any(map(is_alive, everything)), within=20)
    assert (folder / "logs/postgres.log").read_text().count("database system is shut down") == 2


@pytest.mark.skipif(os.getuid() != 0 or not SETPRIV, reason="nobody can be become here")
@pytest.mark.usefixtures("own_servers")
def test_a_normal_user_can_do_all_this_and_a_closed_terminal_ends_it(folder):
    """May read all files, since our Python may lie in root's own folder, and nothing more."""
    os.chown(folder, NOBODY, -1)
    reading = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    become = (SETPRIV, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *reading)

    with Up(folder / "home", *become) as up:
        up.lines_until_ready()
        everything = descendants(up.process.pid)
        assert len(everything) >= len(PARTS)
        assert owners(everything) == {NOBODY}

        up.process.stdout.close()
        up.process.send_signal(signal.SIGHUP)

        up.process.wait(timeout=60)
        assert not [pid for pid in everything if is_alive(pid)]
    log = (folder / "home/logs/postgres.log").read_text()
    assert "database system is shut down" in log


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *AFORO, "manage", *arguments, "--data-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def is_answering(stack: Stack) -> bool:
    try:
        return answers(stack)
    except (psycopg.Error, redis.RedisError):
        return False


def test_routes_without_a_key_answer_on_the_internal_listener_only(start_stack, folder):
    give_migrated_cluster(folder)
    stack = start_stack(internal_port=0)

    assert get(stack.internal_url, "/internal/v1/auth/token-check?jti=one") == 200
    assert get(stack.url, "/internal/v1/auth/token-check?jti=one") == 404
