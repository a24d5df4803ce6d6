"""A cluster of our own: made once or not at all, reached by its socket only."""

import os
from pathlib import Path

import psycopg
import pytest

from aforo.embedded import postgres as servers
from aforo.embedded.home import Home
from aforo.embedded.postgres import DURABLE, THROWAWAY, Postgres
from aforo.embedded.processes import StackError
from aforo.embedded.supervisor import ProgramFailed

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root lends PostgreSQL an identity")


@pytest.fixture
def postgres(folder) -> Postgres:
    return Postgres(folder, Home(folder).socket_folder(), THROWAWAY)


def show(postgres: Postgres, setting: str) -> str:
    with psycopg.connect(postgres.url) as connection:
        return connection.execute(f"SHOW {setting}").fetchone()[0]


def test_a_cluster_is_made_started_and_holds_our_database(postgres, supervisor):
    supervisor.run(postgres.initdb())
    postgres.adopt()
    supervisor.keep(postgres.server())
    supervisor.wait_until(postgres.answers, "PostgreSQL did not answer")
    postgres.create_database()
    postgres.create_database()  # a second time changes nothing

    assert show(postgres, "listen_addresses") == ""
    assert show(postgres, "TimeZone") == "UTC"
    assert show(postgres, "server_encoding") == "UTF8"
    assert show(postgres, "data_checksums") == "on"
    assert show(postgres, "shared_preload_libraries") == "pg_stat_statements"


def test_half_a_cluster_is_never_taken_for_one(postgres, supervisor):
    draft = postgres.cluster.with_suffix(".new")
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18")

    supervisor.run(postgres.initdb())

    assert not postgres.cluster.exists()
    postgres.adopt()
    assert (postgres.cluster / "global").is_dir()


def test_an_answer_is_not_made_up(postgres):
    assert not postgres.answers()


def test_a_server_without_a_cluster_says_why(postgres, supervisor):
    supervisor.keep(postgres.server())

    with pytest.raises(ProgramFailed, match=r"(?s)postgres ended at once:.*pg18"):
        supervisor.wait_until(postgres.answers, "PostgreSQL did not answer")


def test_money_is_durable():
    assert DURABLE["fsync"] == DURABLE["synchronous_commit"] == DURABLE["full_page_writes"] == "on"


def test_the_address_survives_odd_characters():
    url = Postgres(Path("/a"), Path("/odd path/100%"), DURABLE).url

    assert psycopg.conninfo.conninfo_to_dict(url) == {
        "user": "aforo",
        "dbname": "aforo",
        "host": "/odd path/100%/postgres",
    }


@as_root
def test_a_home_that_the_servers_user_cannot_reach_is_refused(tmp_path):
    tmp_path.chmod(0o700)

    with pytest.raises(StackError, match=r"user 65534, .*choose another --data-dir, or set DATABA"):
        Postgres(tmp_path, tmp_path, DURABLE).initdb()


@as_root
def test_programs_that_the_servers_user_cannot_reach_are_copied(postgres, supervisor, monkeypatch):
    may_enter = servers.may_enter
    monkeypatch.setattr(
        servers,
        "may_enter",
        lambda folder: "site-packages" not in str(folder) and may_enter(folder),
    )

    program = postgres.initdb()

    assert program.command[0].startswith(str(postgres.home / "postgresql-18"))
    supervisor.run(program)
    postgres.adopt()
