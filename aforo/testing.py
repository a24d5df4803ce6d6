"""A pytest plugin: the servers that a user would run, started once for the whole test run.

They start while this module is imported, before anything reads Django's settings. The workers of
pytest-xdist inherit their addresses, so that one cluster serves all; each has a database of its own
in Redis, as Django gives it one in PostgreSQL.
"""

import atexit
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg.sql import SQL, Identifier

from aforo.embedded.premade import premade_home
from aforo.embedded.throwaway import throwaway_servers

PREMADE = "AFORO_PREMADE_HOME"  # tells the workers that there is one, and where
MIGRATED = "aforo"  # the database in it, with our schema and no rows
FIRST_REDIS_DATABASE = 2  # of the first worker: before it stand the run's own and its broker's
_MADE_ONCE = {"auth_permission", "django_content_type"}  # by migrations, and never changed

_servers = ExitStack()
if "PYTEST_XDIST_WORKER" not in os.environ:
    _premade = None if "DATABASE_URL" in os.environ else premade_home()
    os.environ.update(_servers.enter_context(throwaway_servers(like=_premade)))
    if _premade:
        os.environ[PREMADE] = str(_premade)
    atexit.register(_servers.close)


def _of_worker(url: str, worker: str) -> str:
    """The same Redis, with the database of a worker of pytest-xdist: `gw0`, `gw1`, ..."""
    number = FIRST_REDIS_DATABASE + int(worker.removeprefix("gw"))
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlsplit(url)._replace(path=f"/{number}").geturl()


if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["REDIS_URL"] = _of_worker(os.environ["REDIS_URL"], os.environ["PYTEST_XDIST_WORKER"])

# Pages are rendered without the manifest that only a collected installation has, and each client
# of a test would look through all static files again.
os.environ["AFORO_STATIC_STORAGE"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
os.environ["AFORO_STATIC_UNCOLLECTED"] = "false"

os.environ["AFORO_CHECK_FACTS"] = "true"


def pytest_configure() -> None:
    """Make databases of tests as copies of the one that is migrated already."""
    if PREMADE in os.environ:
        TransactionTestCase._fixture_teardown = _take_back  # type: ignore[attr-defined] # noqa: SLF001
        database: dict[str, Any] = settings.DATABASES["default"]
        database.setdefault("TEST", {})["TEMPLATE"] = MIGRATED


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether something is passed by: importing what will not run takes half a minute."""
    if config.option.markexpr == "not slow":
        return True if collection_path.name == "slow" else None
    if config.option.markexpr == "slow" and collection_path.name.startswith("test_"):
        return None if "mark.slow" in collection_path.read_text() else True
    return None


def _take_back(_case: TransactionTestCase) -> None:
    """Delete what a test with transactions of its own has committed; only in a cluster of ours.

    Django truncates all tables, of which a test fills few, and makes all permissions again: that
    takes forty times as long. References and append-only tables do not object to a replica.
    """
    tables = set(connection.introspection.django_table_names(only_existing=True)) - _MADE_ONCE
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in sorted(tables):
            cursor.execute(SQL("DELETE FROM {}").format(Identifier(table)))
