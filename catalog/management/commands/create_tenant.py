"""Make a tenant and print its ids and keys, once."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from aforo.errors import AforoError
from aforo.tenancy.services.actors import Actor
from catalog.services.openings import Opening, open_sandbox, open_tenant


class Command(BaseCommand):
    help = "Make a tenant with a billing entity and keys; the keys are shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--slug", help="made from the name when not given")
        parser.add_argument("--currency", default="USD")
        parser.add_argument("--time-zone", default="UTC")
        parser.add_argument("--country", default="")
        parser.add_argument("--sandbox", action="store_true", help="make its sandbox too")
        parser.add_argument("--json", action="store_true", help="print for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            opened = _open(options)
        except AforoError as error:
            raise CommandError(error.detail) from error
        answer = _described(opened[0])
        if options["sandbox"]:
            answer["sandbox"] = _described(opened[1])
        if options["json"]:
            self.stdout.write(json.dumps(answer))
            return
        for opening in opened:
            self._show(opening)

    def _show(self, opening: Opening) -> None:
        self.stdout.write(
            f"{opening.tenant.name}: {opening.tenant.slug}, {opening.tenant.pk}\n"
            f"  metering key  {opening.metering_key}\n"
            f"  operator key  {opening.operator_key}\n"
            "  These keys are not stored and cannot be shown again."
        )


@transaction.atomic
def _open(options: dict[str, Any]) -> list[Opening]:
    actor, now = Actor.system("create_tenant"), timezone.now()
    live = open_tenant(
        name=options["name"],
        slug=options["slug"],
        currency=options["currency"],
        time_zone=options["time_zone"],
        country=options["country"],
        actor=actor,
        now=now,
    )
    if not options["sandbox"]:
        return [live]
    return [live, open_sandbox(live=live.tenant, actor=actor, now=now)]


def _described(opening: Opening) -> dict[str, Any]:
    return {
        "tenantId": str(opening.tenant.pk),
        "slug": opening.tenant.slug,
        "keys": {"metering": opening.metering_key, "operator": opening.operator_key},
    }
