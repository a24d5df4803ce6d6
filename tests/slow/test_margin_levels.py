"""The three levels of a margin guard, from a reported cost to what caller and endpoint hear."""

import json
from collections.abc import Callable

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from aforo.embedded.stack import Stack
from tests.slow.edges import Edge, running_edge
from tests.slow.installations import PATIENCE, Inside, Tenant, own_stack
from tests.slow.load import CLOCK, START
from tests.slow.test_deliveries import Receiver, receiver
from tests.waiting import eventually

__all__ = ["receiver"]
pytestmark = pytest.mark.slow

FACTS = ("margin.warning", "margin.throttled", "margin.blocked", "margin.recovered")


class Gateway:
    """Asks an edge about calls of a customer, with the seller's key."""

    def __init__(self, edge: Edge, tenant: Tenant) -> None:
        self._client = httpx.Client(
            base_url=edge.url,
            headers={
                "Authorization": f"Bearer {tenant.metering_key}",
                "X-Aforo-Customer": "cust_1",
            },
            timeout=30,
        )

    def answer(self) -> httpx.Response:
        return self._client.get("/ext_authz/v1/chat")

    def hears(self, status: int, **headers: str) -> bool:
        """Whether this is what it comes to be answered."""
        wanted = {name.replace("_", "-").lower(): value for name, value in headers.items()}

        def is_so() -> bool:
            answer = self.answer()
            return answer.status_code == status and wanted.items() <= dict(answer.headers).items()

        return eventually(is_so, within=PATIENCE)

    def close(self) -> None:
        self._client.close()


def told(receiver: Receiver, secret: str) -> Callable[[], list[str]]:
    """The kinds of facts that came, each with a signature that holds."""
    return lambda: [
        Webhook(secret).verify(body, headers)["type"] for _, headers, body in list(receiver.taken)
    ]


def test_costs_warn_throttle_and_block_and_revenue_brings_everything_back(receiver, monkeypatch):
    monkeypatch.setenv("AFORO_PRIVATE_DESTINATIONS", "true")
    with own_stack() as stack, Inside(stack.environment()) as inside:
        tenant = Tenant.seeded(inside, stack.url, start=START)
        with tenant.seller() as seller:
            seller.freeze_clock(CLOCK)
        with (
            httpx.Client(base_url=stack.url, timeout=30) as client,
            running_edge(environment_of(stack)) as edge,
        ):
            operator = {"Authorization": f"Bearer {tenant.operator_key}"}
            metering = {"Authorization": f"Bearer {tenant.metering_key}"}

            def make(path: str, **body: object) -> dict:
                answer = client.post(f"/api/v1/{path}", json=body, headers=operator)
                return answer.raise_for_status().json()

            def spend(amount: str) -> None:
                cost = {"kind": "AI_INFERENCE", "amount": amount, "currency": "USD"}
                body = cost | {"customerId": "cust_1"}
                client.post("/v1/ingest/cogs", json=body, headers=metering).raise_for_status()

            url = f"http://127.0.0.1:{receiver.server_port}/margins"
            endpoint = make("webhook-endpoints", url=url, facts=list(FACTS))
            make("margin-guards", code="all")
            kinds, gateway = told(receiver, endpoint["secret"]), Gateway(edge, tenant)
            assert gateway.hears(200)

            spend("42")  # of 49, the base fee
            assert gateway.hears(200, x_margin_guard_warning="margin-low")
            assert eventually(lambda: kinds() == ["margin.warning"], within=PATIENCE)
            fact = json.loads(receiver.taken[0][2])["data"]
            assert (fact["customerId"], fact["level"]) == ("cust_1", "L1_ALERT")

            spend("3")
            assert gateway.hears(200, x_aforo_throttle="true", x_margin_guard="throttled")

            spend("5")
            assert gateway.hears(429, x_margin_guard="blocked", retry_after="1800")
            assert gateway.answer().json()["error"]["message"] == "Margin Limit Exceeded"

            more = {"metricName": "output_tokens", "quantity": 10_000_000, "customerId": "cust_1"}
            event = more | {"occurredAt": CLOCK.isoformat(), "idempotencyKey": "more"}
            client.post("/v1/ingest", json=event, headers=metering).raise_for_status()
            assert gateway.hears(200)
            assert "x-margin-guard" not in gateway.answer().headers
            assert eventually(lambda: kinds() == list(FACTS), within=PATIENCE)
            gateway.close()


def environment_of(stack: Stack) -> dict[str, str]:
    return {"REDIS_URL": stack.redis_url, "SECRET_KEY": stack.environment()["SECRET_KEY"]}
