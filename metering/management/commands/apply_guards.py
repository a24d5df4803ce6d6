"""Make and change margin guards as a YAML file says."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.selectors import tenant_called
from aforo.tenancy.services.actors import Actor
from metering.services.guard_files import apply_file


class Command(BaseCommand):
    help = "Make and change margin guards as a YAML file says: all of them, or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tenant", required=True, help="slug or id")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")

    def handle(self, *, file: Path, tenant: str, dry_run: bool, **_: object) -> None:
        owner = tenant_called(tenant)
        if owner is None:
            raise CommandError(f"there is no tenant '{tenant}'")
        try:
            applied = apply_file(
                tenant=owner,
                body=Path(file).read_bytes(),
                actor=Actor.system("aforo guards apply"),
                now=clock.now(owner),
                dry_run=dry_run,
            )
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from error
        except AforoError as error:
            raise CommandError(error.detail) from error
        for one in applied:
            self.stdout.write(f"{one.code}: {'would be ' if dry_run else ''}{one.outcome}")
            for note in one.notes:
                self.stdout.write(f"  {note}")
