"""Draw another key for tokens at once, because the one in use leaked."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from aforo.tenancy.services.token_keys import replace_keys


class Command(BaseCommand):
    help = "Draw another key that signs tokens; tokens signed before are good no longer."

    def handle(self, *args: Any, **options: Any) -> None:
        key = replace_keys(now=timezone.now())
        self.stdout.write(f"tokens are signed with key {key.pk} from now on")
