"""`aforo demo`: the whole product, with traffic that becomes invoices before your eyes."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from django.core.management import CommandError
from rich.console import Console

from aforo.commands.installation import DataDir, run_command
from aforo.commands.progress import Steps
from aforo.commands.up import Port, WebWorkers, Workers, show_ready, stopping_at_signals
from aforo.demo import trace as traces
from aforo.embedded.stack import Stack
from aforo.embedded.supervisor import Stopped
from aforo.errors import AforoError

Trace = Annotated[
    Path | None,
    typer.Option(
        help="A CSV with TIMESTAMP, ContextTokens, GeneratedTokens.", exists=True, dir_okay=False
    ),
]
Output = Annotated[Path, typer.Option(help="Where invoices are written as PDF and JSON.")]
Exit = Annotated[bool, typer.Option("--exit", help="Stop when the story is told.")]


def demo(
    data_dir: DataDir,
    *,
    trace: Trace = None,
    output: Output = Path("demo-output"),
    leave: Exit = False,
    port: Port = 8000,
    web_workers: WebWorkers = 1,
    workers: Workers = 2,
) -> None:
    """Start everything, meter real traffic, bill it, prove it; then stay up to look around."""
    _require_readable(trace)
    _require_writable(output)
    console = Console()
    steps = Steps(console)
    stack = Stack(
        data_dir=data_dir, port=port, web_workers=web_workers, workers=workers, report=steps.begin
    )
    with stopping_at_signals(stack), contextlib.suppress(Stopped):
        with steps:
            stack.start()
        os.environ.update(stack.environment())
        story = {"url": stack.url, "trace": trace, "output": output.resolve()}
        try:
            run_command("demo", data_dir=data_dir, **story)
        except CommandError as error:
            if stack.is_stopping:  # because somebody asked for it: then nothing can answer
                raise typer.Exit(1) from None
            sys.exit(f"aforo: {error}")
        if leave:
            return
        show_ready(stack, console)
        stack.wait()


def _require_readable(trace: Path | None) -> None:
    """Say what is wrong with a trace before everything is started for it."""
    try:
        if trace:
            traces.Trace(trace)
    except (AforoError, OSError) as error:
        sys.exit(f"aforo: {error}")


def _require_writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"aforo: {output}: {error.strerror}: choose another --output")
