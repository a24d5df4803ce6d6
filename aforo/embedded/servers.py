"""PostgreSQL and Valkey together, each only if no address of another one is set."""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

from aforo.embedded.home import Home
from aforo.embedded.postgres import DURABLE, THROWAWAY, Postgres
from aforo.embedded.processes import Guard
from aforo.embedded.supervisor import Supervisor
from aforo.embedded.valkey import Valkey

STATIC_FROM_PACKAGES = {  # collecting and compressing them costs four seconds
    "AFORO_STATIC_UNCOLLECTED": "true",
    "AFORO_STATIC_STORAGE": "django.contrib.staticfiles.storage.StaticFilesStorage",
}


class Servers:
    """The servers of one home: `DATABASE_URL` and `REDIS_URL` replace ours.

    `settings` of PostgreSQL go before our own.
    """

    def __init__(
        self,
        home: Home,
        *,
        durable: bool,
        guard: Guard,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        sockets = home.socket_folder()
        guard.remove(sockets)
        ours = DURABLE if durable else THROWAWAY
        self._postgres = Postgres(home.root, sockets, {**ours, **settings})
        self._valkey = Valkey(home.root, sockets, durable=durable)
        self.has_postgres = "DATABASE_URL" not in os.environ
        self.has_valkey = "REDIS_URL" not in os.environ

    def start(self, supervisor: Supervisor, report: Callable[[str], None]) -> None:
        """Start both and wait for them; at the first start make the cluster and the database."""
        if self.has_valkey:
            report(f"Valkey {self._valkey.release}")
            supervisor.keep(self._valkey.server())
        if self.has_postgres:
            report(f"PostgreSQL {self._postgres.release}")
            self._start_postgres(supervisor)
        if self.has_valkey:
            supervisor.wait_until(self._valkey.answers, "Valkey did not answer")

    def environment(self) -> dict[str, str]:
        """The addresses, as our settings read them."""
        names = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
        addresses = {name: os.environ[name] for name in names if name in os.environ}
        if self.has_postgres:
            addresses["DATABASE_URL"] = self._postgres.url
        if self.has_valkey:
            addresses["REDIS_URL"] = self._valkey.url
            addresses["CELERY_BROKER_URL"] = self._valkey.broker_url
        return addresses

    def inherited(self) -> Mapping[str, str]:
        """Our own environment without what would lead a client past our PostgreSQL."""
        if not self.has_postgres:
            return os.environ
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def _start_postgres(self, supervisor: Supervisor) -> None:
        if not self._postgres.cluster.exists():
            supervisor.run(self._postgres.initdb())
            self._postgres.adopt()
        supervisor.keep(self._postgres.server())
        supervisor.wait_until(self._postgres.answers, "PostgreSQL did not answer")
        self._postgres.create_database()
