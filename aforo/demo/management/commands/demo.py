"""Play the demonstration on an installation that is running."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from rich.console import Console

from aforo.demo.client import DemoFailed
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
            holds = tell(traffic, url=url, output=output, console=Console(), now=timezone.now())
        except httpx.HTTPError as error:
            raise CommandError(f"{url} does not answer: {error}") from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"the database does not answer: {error}") from error
        except (AforoError, DemoFailed, OSError) as error:
            raise CommandError(str(error)) from error
        if not holds:
            raise CommandError("something does not hold: see above")
