"""A pytest plugin: the servers that a user would run, started once for the whole test run.

They start while this module is imported, before anything reads Django's settings. The workers of
pytest-xdist inherit their addresses, so that one cluster serves all.
"""

import atexit
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from aforo.embedded.premade import premade_home
from aforo.embedded.throwaway import throwaway_servers

PREMADE = "AFORO_PREMADE_HOME"  # tells the workers that there is one, and where
MIGRATED = "aforo"  # the database in it, with our schema and no rows

_servers = ExitStack()
if "PYTEST_XDIST_WORKER" not in os.environ:
    _premade = None if "DATABASE_URL" in os.environ else premade_home()
    os.environ.update(_servers.enter_context(throwaway_servers(like=_premade)))
    if _premade:
        os.environ[PREMADE] = str(_premade)
    atexit.register(_servers.close)

# Pages are rendered without the manifest that only a collected installation has, and each client
# of a test would look through all static files again.
os.environ["AFORO_STATIC_STORAGE"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
os.environ["AFORO_STATIC_UNCOLLECTED"] = "false"

os.environ["AFORO_CHECK_FACTS"] = "true"


def pytest_configure() -> None:
    """Make databases of tests as copies of the one that is migrated already."""
    if PREMADE in os.environ:
        database: dict[str, Any] = settings.DATABASES["default"]
        database.setdefault("TEST", {})["TEMPLATE"] = MIGRATED


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether a folder is passed by: importing the slow tests takes seconds of its own."""
    is_left_out = collection_path.name == "slow" and config.option.markexpr == "not slow"
    return True if is_left_out else None
