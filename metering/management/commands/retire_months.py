"""Let go of what is older than the policy keeps, or say what would leave and what keeps it."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from aforo.errors import AforoError
from metering.services.retention import months_to_retire, retire_by_policy


class Command(BaseCommand):
    help = "Archive months of events, drop old raw bodies, sum up old receipts, as settings say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would leave")

    def handle(self, *, dry_run: bool, **_: object) -> None:
        now = timezone.now()
        for month in months_to_retire(now=now):
            kept = "; ".join(month.kept_by)
            self.stdout.write(f"{month.partition}: {f'stays: {kept}' if kept else 'may leave'}")
        if dry_run:
            return
        try:
            retired = retire_by_policy(now=now)
        except AforoError as error:
            raise CommandError(error.detail) from error
        if retired is None:
            raise CommandError("somebody else is at it")
        for name in (*retired.months, *retired.bodies):
            self.stdout.write(f"{name}: has left")
        self.stdout.write(f"{retired.receipt_days} days of receipts summed up")
