"""The product's own programs: how each is started."""

import sys
from collections.abc import Mapping
from pathlib import Path

from aforo.embedded.probes import HOST
from aforo.embedded.processes import Program

Environment = Mapping[str, str]


def prepare(environment: Environment) -> Program:
    return _python("prepare", environment, "aforo.embedded.prepare")


def web(environment: Environment, *, port: int, workers: int) -> Program:
    """One blocking thread per worker: twice the rate of many, and the best tail."""
    return _wsgi("web", environment, port=port, workers=workers)


def internal(environment: Environment, *, port: int) -> Program:
    """The same application, which also answers what gateways ask without a key."""
    listener = {**environment, "AFORO_INTERNAL_LISTENER": "true"}
    return _wsgi("internal", listener, port=port, workers=1)


def stream(environment: Environment, *, port: int) -> Program:
    """The live stream: long answers, which must hold no thread of the web process."""
    return _python(
        "stream",
        environment,
        *("granian", "metering.stream.application:application", "--interface", "asgi", "--no-ws"),
        *("--host", HOST, "--port", str(port), "--workers", "1", "--workers-kill-timeout", "3"),
    )


def worker(environment: Environment, *, processes: int) -> Program:
    """Without the exchange between workers at start, which costs a second: it is the only one."""
    options = ("--concurrency", str(processes), "--without-mingle", "--without-gossip")
    return _python("worker", environment, *_celery("worker"), *options)


def beat(environment: Environment, *, folder: Path) -> Program:
    options = ("--schedule", str(folder / "beat-schedule"), "--pidfile=")
    return _python("beat", environment, *_celery("beat"), *options)


def _wsgi(name: str, environment: Environment, *, port: int, workers: int) -> Program:
    return _python(
        name,
        environment,
        *("granian", "aforo.wsgi:application", "--interface", "wsgi", "--no-ws"),
        *("--host", HOST, "--port", str(port)),
        *("--workers", str(workers), "--blocking-threads", "1"),
    )


def _celery(command: str) -> tuple[str, ...]:
    return "celery", "--app", "aforo.celery:app", command


def _python(name: str, environment: Environment, module: str, *arguments: str) -> Program:
    return Program(name, (sys.executable, "-P", "-m", module, *arguments), environment)
