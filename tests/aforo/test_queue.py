"""Asking for tasks after a commit: a broker that is away harms nobody."""

import pytest
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from aforo.queue import enqueue


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_fails_neither_the_caller_nor_what_comes_after(monkeypatch):
    def away(*_, **__):
        raise OperationalError("nobody listens")

    monkeypatch.setattr(current_app, "send_task", away)
    done = []
    with transaction.atomic():
        enqueue("aforo.ping")
        transaction.on_commit(lambda: done.append("afterwards"))
    enqueue("aforo.ping")
    assert done == ["afterwards"]
