"""Send known traffic through an installation that is running, and prove what became of it."""

from argparse import ArgumentParser

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError
from rich.console import Console

from aforo.errors import AforoError
from aforo.probe.run import ProbeFailed, probe
from aforo.probe.sender import Unanswered


class Command(BaseCommand):
    help = "Send known traffic and prove that every event is in exactly one place."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=settings.SITE_URL, help="where HTTP answers")
        parser.add_argument("--seconds", type=float, default=30.0, help="how long to send")
        parser.add_argument("--rate", type=float, default=500.0, help="events a second, about")
        parser.add_argument("--clients", type=int, default=4, help="that send at once")
        parser.add_argument(
            "--patience", type=float, default=120.0, help="seconds that an answer may take"
        )

    def handle(
        self, *, url: str, seconds: float, rate: float, clients: int, patience: float, **_: object
    ) -> None:
        console = Console(stderr=True)
        try:
            with console.status("starting") as status:
                verdict = probe(
                    url=url,
                    seconds=seconds,
                    rate=rate,
                    clients=clients,
                    patience=patience,
                    report=self._say,
                    progress=status.update,
                )
        except (ProbeFailed, Unanswered, AforoError, httpx.HTTPError) as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"the database does not answer: {error}") from error
        for sentence in verdict.broken:
            self.stderr.write(f"does not hold: {sentence}")
        self.stdout.write(str(verdict))
        if verdict.broken or verdict.lost or verdict.doubled:
            raise CommandError("the probe found something that does not hold")

    def _say(self, step: str) -> None:
        self.stdout.write(step)
        self.stdout.flush()
