"""The data folder: one owner at a time, secrets for it alone, sockets that are not too long."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aforo.embedded import home as homes
from aforo.embedded.home import AlreadyRunning, Home, default_home
from aforo.embedded.processes import StackError
from tests.waiting import eventually

HOLDER = """
import sys
from pathlib import Path
from aforo.embedded.home import Home
Home(Path(sys.argv[1])).lock()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_second_owner_is_refused_by_name(home):
    lock = home.lock()

    with pytest.raises(AlreadyRunning, match=rf"in use by process {os.getpid()}: stop that one"):
        home.lock()

    os.close(lock)
    os.close(home.lock())


def test_the_lock_of_a_dead_owner_is_waited_for(home):
    """Its guard still holds it, while it ends what the owner left."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, home.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        (home.root / "lock").write_text("999999999")
        holder.stdin.close()

        os.close(home.lock())


def test_the_lock_of_a_dead_owner_is_not_waited_for_without_end(home, monkeypatch):
    monkeypatch.setattr(homes, "FAREWELL", 0.1)
    lock = home.lock()
    (home.root / "lock").write_text("999999999")

    with pytest.raises(AlreadyRunning):
        home.lock()

    os.close(lock)


def test_a_secret_is_made_once_and_for_us_alone(home):
    assert home.secret("key", lambda: "first") == "first"
    assert home.secret("key", lambda: "second") == "first"
    assert mode(home.root / "key") == "0o600"


def test_what_is_published_is_found_while_the_stack_runs(home):
    with pytest.raises(StackError, match=r"nothing runs in .*: start it with `aforo up`"):
        home.published()

    lock = home.lock()
    with pytest.raises(StackError, match="still starting"):
        home.published()
    home.publish({"DATABASE_URL": "there"})
    assert home.published() == {"DATABASE_URL": "there"}
    assert mode(home.root / "environment.json") == "0o600"

    home.withdraw()
    os.close(lock)
    assert not home.is_in_use()


def test_a_home_that_nobody_made_is_not_in_use(tmp_path):
    assert not Home(tmp_path / "nowhere").is_in_use()


def test_a_home_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StackError, match="Not a directory: choose another --data-dir"):
        Home(tmp_path / "file" / "home").prepare()


def test_sockets_lie_in_the_home(folder):
    sockets = Home(folder).socket_folder()

    assert sockets == folder / "run"


@pytest.mark.parametrize("name", ["x" * 150, "with space", "ünïcode", "100%"])
def test_sockets_of_a_home_with_a_long_or_odd_name_lie_in_a_short_private_one(tmp_path, name):
    home = Home(tmp_path / name)
    home.prepare()

    sockets = home.socket_folder()

    assert sockets.parent == Path("/tmp")
    assert mode(sockets) == ("0o711" if os.getuid() == 0 else "0o700")
    sockets.rmdir()


def test_the_default_home_is_the_systems_for_root_and_ones_own_for_others(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert default_home() == Path("/var/lib/aforo")

    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_home() == Path.home() / ".local/share/aforo"

    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert default_home() == Path("/elsewhere/aforo")


def test_the_lock_is_free_when_its_owner_is_gone(home):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, home.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        assert home.is_in_use()
        holder.kill()

    assert eventually(lambda: not home.is_in_use())
