"""The whole installation on one machine: servers, web, worker and beat, as one thing to start.

    with Stack(data_dir=folder, port=0) as stack:
        ...  # everything at stack.url answers, and is kept running

Leaving it stops everything, and so does the end of this process, even by `kill -9`.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from threading import Event, Thread
from types import TracebackType
from typing import Self

from aforo.embedded import programs
from aforo.embedded.home import Home
from aforo.embedded.probes import HOST, RoundTrip, bindable, bindable_beside, http_answers
from aforo.embedded.processes import Guard
from aforo.embedded.servers import STATIC_FROM_PACKAGES, Servers
from aforo.embedded.supervisor import Supervisor


class Stack:
    """What `aforo up` runs. Entered, it answers; left, nothing of it remains.

    `report` is told what is being waited for, in a few words each. `port` 0 takes any free one;
    the live stream takes the one after it, or any free one, unless `stream_port` names it. With
    `internal_port` there is an internal listener as well, for routes that ask for no key.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        port: int = 8000,
        stream_port: int | None = None,
        internal_port: int | None = None,
        web_workers: int = 1,
        workers: int = 2,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.home = Home(data_dir)
        self._port = port
        self._stream_port = stream_port
        self._internal_port = internal_port
        self._web_workers = web_workers
        self._workers = workers
        self._report = report
        self._environment: dict[str, str] = {}
        self._supervisor: Supervisor
        self._failure: Exception | None = None
        self._stopping = Event()
        self._is_settled = Event()  # started, or failed to
        self._thread = Thread(target=self._run, name="supervisor")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; come back when it answers. What cannot start is stopped again."""
        self._thread.start()
        try:
            self._is_settled.wait()
        except BaseException:
            self.request_stop()
            self._thread.join()
            raise
        if self._failure:
            self.stop()

    def wait(self) -> None:
        """Wait until somebody asks it to stop, or it gives up."""
        self._stopping.wait()

    def request_stop(self) -> None:
        """Ask for the end and do not wait for it: for signal handlers."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop everything; raise what made it fail or give up, if that is why."""
        self.request_stop()
        self._thread.join()
        if self._failure:
            raise self._failure

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop, or gave up."""
        return self._stopping.is_set()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def internal_url(self) -> str:
        """Where the internal listener answers, if there is one."""
        return f"http://{HOST}:{self._internal_port}"

    @property
    def database_url(self) -> str:
        return self._environment["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        return self._environment["REDIS_URL"]

    @property
    def admin_password(self) -> str:
        """The password that the first administrator was given."""
        return self.home.secret("admin-password", partial(token_urlsafe, 12))

    def environment(self) -> dict[str, str]:
        """The environment in which Django finds this installation."""
        return dict(self._environment)

    def pid_of(self, name: str) -> int:
        """The main process of "postgres", "valkey", "web", "stream", "worker", "beat", ..."""
        return self._supervisor.kept[name].child.pid

    def starts_of(self, name: str) -> int:
        """How often it was started: once, and once more for each time that it fell over."""
        return self._supervisor.kept[name].starts

    def kill(self, name: str) -> None:
        """`kill -9` of all its processes, to see what comes after."""
        self._supervisor.kept[name].child.kill()

    # --- what the supervisor's thread does -------------------------------------------------

    def _run(self) -> None:
        try:
            self._port = bindable(self._port)
            named = self._stream_port
            self._stream_port = bindable_beside(self._port) if named is None else bindable(named)
            if self._internal_port is not None:
                self._internal_port = bindable(self._internal_port)
            self.home.prepare()
            lock = self.home.lock()
            try:
                self.home.withdraw()
                self._run_guarded(Guard(lock=lock))
            finally:
                os.close(lock)
        except Exception as error:  # noqa: BLE001  raised again in the thread that waits for us
            self._failure = error
        finally:
            self._stopping.set()
            self._is_settled.set()

    def _run_guarded(self, guard: Guard) -> None:
        supervisor = Supervisor(logs=self.home.logs, guard=guard, stopping=self._stopping)
        self._supervisor = supervisor
        try:
            self._start(supervisor, Servers(self.home, durable=True, guard=guard))
            self._is_settled.set()
            supervisor.watch()
        finally:
            self.home.withdraw()
            supervisor.stop("web", "internal", "stream", "worker", "beat")
            supervisor.stop("valkey")
            supervisor.stop("postgres")
            guard.dismiss()

    def _start(self, supervisor: Supervisor, servers: Servers) -> None:
        servers.start(supervisor, self._report)
        settings = servers.environment() | self._settings()
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(self._metrics_folder())}
        self._environment = {**servers.inherited(), **settings, **metrics}
        self._report("database schema")
        login = {"AFORO_ADMIN_PASSWORD": self.admin_password}
        supervisor.run(programs.prepare(self._environment | login))
        self._report("web, stream, worker and beat")
        self._start_programs(supervisor)
        self.home.publish(settings)

    def _start_programs(self, supervisor: Supervisor) -> None:
        environment, port = self._environment, self._port
        supervisor.keep(programs.web(environment, port=port, workers=self._web_workers))
        if self._internal_port is not None:
            supervisor.keep(programs.internal(environment, port=self._internal_port))
        supervisor.keep(programs.stream(environment, port=self._stream_port or 0))
        supervisor.keep(programs.worker(environment, processes=self._workers))
        supervisor.keep(programs.beat(environment, folder=self.home.root))
        round_trip = RoundTrip(environment.get("CELERY_BROKER_URL", environment["REDIS_URL"]))
        supervisor.wait_until(partial(http_answers, port), f"{self.url}/healthz did not answer")
        if self._internal_port is not None:
            listens = partial(http_answers, self._internal_port)
            supervisor.wait_until(listens, "the internal listener did not answer")
        streams = partial(http_answers, self._stream_port or 0)
        supervisor.wait_until(streams, "the live stream did not answer")
        supervisor.wait_until(round_trip.has_returned, "no worker answered")

    def _settings(self) -> dict[str, str]:
        """What our settings read from the environment; what is set there already stays."""
        settings = {
            "SECRET_KEY": self.home.secret("secret-key", partial(token_urlsafe, 48)),
            "AFORO_SITE_URL": self.url,
            "AFORO_STREAM_URL": self._stream_url(),
            "AFORO_DRAIN_SHARDS": str(self._workers),
            "DJANGO_SETTINGS_MODULE": "aforo.settings",
            "STATIC_ROOT": str(self.home.folder("static")),
        } | STATIC_FROM_PACKAGES
        return {name: os.environ.get(name, value) for name, value in settings.items()}

    def _stream_url(self) -> str:
        """Its own address; none behind somebody's proxy, which has the stream's path as well."""
        is_behind_proxy = "AFORO_SITE_URL" in os.environ
        return "" if is_behind_proxy else f"http://{HOST}:{self._stream_port}/api/v1/events/stream"

    def _metrics_folder(self) -> Path:
        """Where the processes of this run count; the numbers of an earlier run are forgotten."""
        shutil.rmtree(self.home.root / "metrics", ignore_errors=True)
        return self.home.folder("metrics")
