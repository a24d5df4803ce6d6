"""Work that one worker process does at a time, so that the others are free for drains."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

LONGEST_SECONDS = 5  # then another task goes on: drains that wait come first


@contextmanager
def alone(lock: int) -> Iterator[bool]:
    """Whether nobody else has this lock; until the end, or until this session is killed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (lock,))
        (is_mine,) = cursor.fetchone()
        try:
            yield bool(is_mine)
        finally:
            if is_mine:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (lock,))
