"""`aforo up`: the whole product in one terminal, until Ctrl-C."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from aforo.commands.installation import DataDir
from aforo.commands.progress import Steps
from aforo.embedded.prepare import ADMINISTRATOR
from aforo.embedded.stack import Stack
from aforo.embedded.supervisor import Stopped

Port = Annotated[int, typer.Option(help="Where HTTP answers; 0 for any free port.", max=65535)]
StreamPort = Annotated[
    int | None,
    typer.Option(
        help="Where the live stream answers; by default the port after --port.",
        envvar="AFORO_STREAM_PORT",
        max=65535,
    ),
]
InternalPort = Annotated[
    int | None,
    typer.Option(
        help="Where routes without a key answer, for gateways; by default nowhere.", max=65535
    ),
]
WebWorkers = Annotated[int, typer.Option(help="Web processes.", min=1)]
Workers = Annotated[int, typer.Option(help="Processes that drain and bill.", min=1)]


def up(
    data_dir: DataDir,
    *,
    port: Port = 8000,
    stream_port: StreamPort = None,
    internal_port: InternalPort = None,
    web_workers: WebWorkers = 1,
    workers: Workers = 2,
) -> None:
    """Start everything, keep it running, stop it all at Ctrl-C."""
    console = Console()
    steps = Steps(console)
    stack = Stack(
        data_dir=data_dir,
        port=port,
        stream_port=stream_port,
        internal_port=internal_port,
        web_workers=web_workers,
        workers=workers,
        report=steps.begin,
    )
    with stopping_at_signals(stack), contextlib.suppress(Stopped):
        with steps:
            stack.start()
        show_ready(stack, console)
        stack.wait()
        with steps:
            steps.begin("stopping")
            stack.stop()


@contextlib.contextmanager
def stopping_at_signals(stack: Stack) -> Iterator[None]:
    """Let Ctrl-C, a closed terminal and `kill` stop the stack in order, however often they come."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stack.request_stop()) for number in numbers]
    try:
        yield
    finally:
        stack.stop()
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def show_ready(stack: Stack, console: Console) -> None:
    console.print(
        f"\nAforo is ready: {stack.url}\n"
        f"  admin     {stack.url}/admin/\n"
        f"  login     {ADMINISTRATOR}, password {stack.admin_password}\n"
        f"  data      {stack.home.root}\n"
        f"  logs      {stack.home.logs}\n"
        "Ctrl-C stops everything.",
        highlight=False,
        soft_wrap=True,
    )
