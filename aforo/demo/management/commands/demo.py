"""Play the demonstration on an installation that is running."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console

from aforo.demo.generated import Generated
from aforo.demo.story import tell
from aforo.demo.trace import Trace
from aforo.errors import AforoError


class Command(BaseCommand):
    help = "Seed a tenant, send traffic, bill it and verify every invoice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", required=True, help="where HTTP answers")
        parser.add_argument("--trace", type=Path, help="a CSV of requests; absent: made up")
        parser.add_argument("--output", type=Path, required=True, help="folder for PDF and JSON")

    def handle(self, *, url: str, trace: Path | None, output: Path, **_: Any) -> None:
        try:
            traffic = Trace(trace) if trace else Generated()
        except (AforoError, OSError) as error:
            raise CommandError(str(error)) from None
        if not tell(traffic, url=url, output=output, console=Console(), now=timezone.now()):
            raise CommandError("something did not hold: see above")
