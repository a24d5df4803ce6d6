"""Which installation a command works on."""

import os

import pytest

from aforo.commands import installation
from aforo.commands.installation import use_installation
from aforo.embedded.home import Home
from aforo.embedded.processes import StackError


@pytest.fixture
def set_up(monkeypatch):
    """Note each set-up of Django instead of making it."""
    done = []
    monkeypatch.setattr(installation.django, "setup", lambda: done.append(dict(os.environ)))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return done


def test_addresses_in_the_environment_go_first(set_up, tmp_path):
    use_installation(tmp_path)

    assert set_up[0]["DATABASE_URL"] == os.environ["DATABASE_URL"]


def test_a_running_stack_is_found_by_its_folder(set_up, tmp_path):
    del os.environ["DATABASE_URL"]
    os.environ["PGHOST"] = "elsewhere"
    home = Home(tmp_path)
    lock = home.lock()
    home.publish({"DATABASE_URL": "there", "REDIS_URL": "also there"})

    use_installation(tmp_path)

    assert (set_up[0]["DATABASE_URL"], set_up[0]["REDIS_URL"]) == ("there", "also there")
    assert "PGHOST" not in set_up[0]
    os.close(lock)


def test_where_nothing_runs_it_says_what_to_do(set_up, tmp_path):
    del os.environ["DATABASE_URL"]

    with pytest.raises(StackError, match="start it with `aforo up`, name its --data-dir, or set"):
        use_installation(tmp_path)

    assert not set_up
