"""Tasks are asked for by name, after commit: services need not import the tasks that call them."""

from celery import current_app
from django.db import transaction


def enqueue(
    task_name: str, *, countdown: int | None = None, **kwargs: str | int | bool | None
) -> None:
    """Queue `task_name` once this transaction has committed (at once when there is none).

    Arguments are JSON-safe ids, never objects. A broker that is away does not fail the caller:
    every task asked for here is also found by a sweep of Beat.
    """

    def send() -> None:  # with a name: Django looks for one when it tells what went wrong
        current_app.send_task(
            task_name,
            kwargs=kwargs,
            retry=False,
            countdown=countdown,
            ignore_result=True,  # else it subscribes to the result first: 20 s when Redis is away
        )

    transaction.on_commit(send, robust=True)
