"""What Django must do before the first request: the schema and the first administrator.

A program of its own, `python -m aforo.embedded.prepare`, since only a new process can take other
settings. The password comes in the environment, which other users cannot read.
"""

import gc
import os

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command

ADMINISTRATOR = "admin"


def create_administrator(password: str) -> None:
    """Make the first account of the admin, unless it is there: its password may have changed."""
    users = get_user_model()._default_manager  # noqa: SLF001  Django's public name for it
    if not users.filter(username=ADMINISTRATOR).exists():
        users.create_superuser(username=ADMINISTRATOR, password=password)


def migrate(*, verbosity: int) -> None:
    """Apply the migrations; of a process that does little else."""
    gc.set_threshold(50_000)  # a third of 24 s went into looks for garbage among models
    call_command("migrate", interactive=False, verbosity=verbosity)


if __name__ == "__main__":
    django.setup()
    migrate(verbosity=1)
    create_administrator(os.environ["AFORO_ADMIN_PASSWORD"])
