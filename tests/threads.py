"""Real threads for tests of locks: let go together, each with a connection of its own."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection


def in_threads(count, act):
    """What `act(index)` gave in each of `count` threads; the first error is raised here."""
    start = Barrier(count)

    def run(index):
        start.wait()
        try:
            return act(index)
        finally:
            connection.close()  # or the pool runs dry, and the database cannot be dropped

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
