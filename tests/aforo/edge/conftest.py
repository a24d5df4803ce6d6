"""An edge beside the test's Redis, called as its web server calls it."""

import json
from io import BytesIO

import pytest
from django.conf import settings as django_settings

from aforo.edge.application import Edge
from aforo.edge.options import Options
from catalog.aliases import key_of
from metering.entitlements import state
from metering.entitlements.state import MarginState
from metering.services.key_entries import publish_entries
from tests.metering.conftest import *  # noqa: F403  a seller with a customer, and its key
from tests.metering.conftest import TOKEN
from tests.metering.entitlements.conftest import gateway
from tests.waiting import eventually

__all__ = ["gateway"]


class Beside:
    """An edge process in this one."""

    def __init__(self, edge, tenant):
        self.edge, self.tenant = edge, tenant

    def call(self, path, body=None, *, query="", **headers):
        """Status, headers, and what the body holds."""
        text = json.dumps(body).encode() if body is not None else b""
        environ = {
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": "POST" if body is not None else "GET",
            "CONTENT_LENGTH": str(len(text)),
            "wsgi.input": BytesIO(text),
        } | {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        told = {}
        answer = b"".join(
            self.edge(environ, lambda status, given: told.update(status=status, **dict(given)))
        )
        is_json = answer and "json" in told["Content-Type"]
        return int(told.pop("status")[:3]), told, json.loads(answer) if is_json else answer

    def ask(self, path, body, **headers):
        return self.call(path, body, **{"authorization": f"Bearer {TOKEN}"} | headers)

    def authorize(self, customer="cust_1", **headers):
        named = {"authorization": f"Bearer {TOKEN}", "x_aforo_customer": customer}
        return self.call("/ext_authz/v1/anything", **named | headers)

    def hears(self):
        return self.call("/readyz")[2]["status"] == "UP"

    def put_margin(self, level, **more):
        version = state.reading()
        state.put_margin(self.tenant.pk, {"cust_1": MarginState(level, **more)}, version=version)


@pytest.fixture
def beside(seller, gateway):
    """Make an edge with these options; what it has to know stands in Redis."""
    edges = []
    gateway.sync()
    publish_entries()

    def made(**options):
        about = {"redis_url": django_settings.REDIS_URL, "fresh_seconds": 0.0}
        about["alias_key"] = key_of(django_settings.SECRET_KEY)
        edge = Edge(Options(**about | options))
        edge.start()
        edges.append(edge)
        beside = Beside(edge, seller.tenant)
        assert eventually(beside.hears)
        return beside

    yield made
    for edge in edges:
        edge.stop()
