"""A cluster with our schema in it, made once for each set of migrations, which tests copy.

Running all migrations takes most of the time of a first start, and each run of tests is one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from aforo.embedded.home import Home
from aforo.embedded.postgres import WHEEL
from aforo.embedded.processes import Guard
from aforo.embedded.servers import Servers
from aforo.embedded.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[2]
_MIGRATE = (
    "import django; django.setup(); "
    "from aforo.embedded.prepare import migrate; migrate(verbosity=0)"
)


def premade_home() -> Path:
    """The folder with the cluster of these migrations, made if it is not there.

    It lies among temporary files. `DATABASE_URL` must not be set.
    """
    home = _place() / _fingerprint()
    with _locked():
        if not home.exists():
            shutil.rmtree(_place() / "draft", ignore_errors=True)
            draft = Home(_place() / "draft")
            _make(draft)
            draft.root.rename(home)
    return home


def copy_cluster(source: Path, folder: Path) -> None:
    """Put a home's cluster where another home looks for its own."""
    (cluster,) = source.glob("pg[0-9][0-9]")
    # Its files belong to PostgreSQL's user, and only cp keeps that.
    command = ["cp", "-a", str(cluster), str(folder / cluster.name)]
    subprocess.run(command, check=True)


def _make(home: Home) -> None:
    home.prepare()
    guard = Guard()
    supervisor = Supervisor(logs=home.logs, guard=guard, stopping=Event())
    try:
        servers = Servers(home, durable=False, guard=guard)
        servers.start(supervisor, report=lambda _: None)
        subprocess.run(
            [sys.executable, "-c", _MIGRATE],
            cwd=ROOT,
            env=os.environ
            | servers.environment()
            | {"DJANGO_SETTINGS_MODULE": "aforo.settings", "SECRET_KEY": "only-for-tests"},
            check=True,
        )
    finally:
        supervisor.stop("postgres", "valkey")
        guard.dismiss()


def _place() -> Path:
    return Path(tempfile.gettempdir()) / f"aforo-premade-{os.getuid()}"


@contextmanager
def _locked() -> Iterator[None]:
    _place().mkdir(mode=0o711, exist_ok=True)
    with (_place() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    whole = hashlib.sha256(WHEEL.encode())
    for path in sorted(ROOT.glob("*/migrations/*.py")) + sorted(ROOT.glob("*/*/migrations/*.py")):
        whole.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:16]
