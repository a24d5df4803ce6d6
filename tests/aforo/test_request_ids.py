"""A request's id goes with the work it asks for, into the worker."""

import uuid

import pytest
import structlog
from celery.contrib.testing.worker import start_worker
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from aforo import valkey
from aforo.celery import app
from aforo.queue import enqueue
from tests.waiting import eventually

QUEUE = f"tests-{uuid.uuid4()}"
TOLD = f"{QUEUE}-told"


@app.task(name="tests.tell_request_id")
def tell_request_id():
    valkey.client().rpush(TOLD, structlog.contextvars.get_contextvars().get("request_id", "none"))


def ask(_request):
    enqueue("tests.tell_request_id")
    return HttpResponse()


urlpatterns = [path("ask", ask)]


@pytest.mark.urls(__name__)
@pytest.mark.django_db(transaction=True)
def test_the_worker_logs_under_the_id_of_the_request(monkeypatch):
    monkeypatch.setitem(app.conf, "task_routes", {"tests.tell_request_id": {"queue": QUEUE}})
    monkeypatch.setattr(app.amqp, "_rtable", None)  # or routes of tests before are remembered
    monkeypatch.setattr(app.amqp, "router", app.amqp.Router())

    answer = Client().get("/ask", HTTP_X_REQUEST_ID="asked-by-me-7")
    with start_worker(app, pool="solo", queues=[QUEUE], perform_ping_check=False):
        assert eventually(lambda: valkey.client().llen(TOLD))

    assert answer["X-Request-Id"] == "asked-by-me-7"
    assert valkey.client().lpop(TOLD) == b"asked-by-me-7"
