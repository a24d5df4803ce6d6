"""The data folder: where its parts are, its secrets, and the lock that makes it ours."""

import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from aforo.embedded.processes import StackError

SOCKET_PATH = 100 - len("/postgres/.s.PGSQL.5432")  # the kernel's limit is 103 to 107 bytes
FAREWELL = 20.0  # seconds that the guard of a killed run may take to end what it left


class AlreadyRunning(StackError):
    pass


def default_home() -> Path:
    """The system's place for root, the user's own for everybody else."""
    if os.getuid() == 0:
        return Path("/var/lib/aforo")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "aforo"


class Home:
    """One installation's data folder. Others may pass through it only if root shares it."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.logs = self.root / "logs"
        self._environment = self.root / "environment.json"

    def prepare(self) -> None:
        """Make the folder; its files are ours alone."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(self.mode)
            self.folder("logs")
        except OSError as error:
            raise StackError(f"{self.root}: {error.strerror}: choose another --data-dir") from error

    @property
    def mode(self) -> int:
        return 0o711 if os.getuid() == 0 else 0o700

    def folder(self, name: str) -> Path:
        """A folder in here for us alone; made if it is not there."""
        folder = self.root / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def lock(self) -> int:
        """Take the folder for this process; the lock's file descriptor back.

        A run that was killed holds it until its guard has ended everything, so wait for that.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + FAREWELL
        while not _locked(descriptor):
            holder = os.pread(descriptor, 20, 0).decode()
            if time.monotonic() > deadline or not _has_died(holder):
                os.close(descriptor)
                raise AlreadyRunning(
                    f"{self.root} is in use by process {holder}: stop that one with Ctrl-C, "
                    "or choose another --data-dir and --port"
                )
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def is_in_use(self) -> bool:
        """Whether a stack runs here now."""
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _locked(descriptor)
        finally:
            os.close(descriptor)

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The secret kept here under `name`; made the first time, then the same for good."""
        path = self.root / name
        if not path.exists():
            self._write(path, make())
        return path.read_text()

    def publish(self, environment: Mapping[str, str]) -> None:
        """Leave the addresses and keys of the running servers for other commands."""
        self._write(self._environment, json.dumps(environment, indent=2))

    def published(self) -> dict[str, str]:
        """What the stack that runs here left for other commands."""
        if not self.is_in_use():
            raise StackError(
                f"nothing runs in {self.root}: start it with `aforo up`, name its --data-dir, "
                "or set DATABASE_URL and REDIS_URL"
            )
        try:
            environment: dict[str, str] = json.loads(self._environment.read_text())
        except FileNotFoundError as error:
            raise StackError(f"what runs in {self.root} is still starting: try again") from error
        return environment

    def withdraw(self) -> None:
        """Take back what was published."""
        self._environment.unlink(missing_ok=True)

    def socket_folder(self) -> Path:
        """A folder for sockets whose name every server and client can take."""
        folder = self.root / "run"
        is_short = len(os.fsencode(folder)) <= SOCKET_PATH
        if not is_short or not re.fullmatch(r"[\w./-]+", str(folder), re.ASCII):
            folder = Path(tempfile.mkdtemp(prefix="aforo-", dir="/tmp"))
        folder.mkdir(exist_ok=True)
        folder.chmod(self.mode)
        return folder

    def _write(self, path: Path, text: str) -> None:
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.rename(path)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_died(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return True
    except PermissionError:
        return False
    return False
