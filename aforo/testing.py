"""A pytest plugin: the servers that a user would run, started once for the whole test run.

They start while this module is imported, before anything reads Django's settings. The workers of
pytest-xdist inherit their addresses, so that one cluster serves all.
"""

import atexit
import os
from contextlib import ExitStack

from aforo.embedded.throwaway import throwaway_servers

# Pages are rendered without the manifest that only a collected installation has.
os.environ["AFORO_STATIC_STORAGE"] = "django.contrib.staticfiles.storage.StaticFilesStorage"

_servers = ExitStack()
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ.update(_servers.enter_context(throwaway_servers()))
    atexit.register(_servers.close)
