"""Every kind of fact has a schema, an example and a row in the docs; nothing else is published."""

import ast
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from aforo.outbox.checking import UnknownFact, UnlikeItsSchema, require_valid
from aforo.outbox.facts import facts
from aforo.outbox.models import OutboxMessage
from aforo.outbox.services import publish, publish_many
from tests.factories import NOW, TenantFactory

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs/webhooks.md").read_text()
PROMISED = {
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.overdue",
    "subscription.activated",
    "subscription.changed",
    "subscription.suspended",
    "subscription.cancelled",
    "quota.threshold_reached",
    "usage.anomaly_detected",
    "usage.dropped",
    "margin.warning",
    "margin.throttled",
    "margin.blocked",
    "wallet.low_balance",
    "bill_run.completed",
    "dead_letter.threshold_reached",
    "webhook_source.failing",
}
KIND = re.compile(
    r"(alert|bill_run|contract|dead_letter|invoice|margin|quota|subscription|usage)\."
)


def test_all_that_was_promised_is_there():
    assert not PROMISED - facts().keys()
    waiting = {fact.kind for fact in facts().values() if fact.not_yet}
    later = {"invoice.paid", "invoice.payment_failed", "wallet.low_balance"}
    assert waiting == later | {"subscription.past_due"}
    assert len(facts().keys() - waiting) >= 18


@pytest.mark.parametrize("fact", facts().values(), ids=lambda fact: fact.kind)
def test_each_kind_is_a_schema_with_an_example_and_a_row_in_the_docs(fact):
    Draft202012Validator.check_schema(fact.schema)
    require_valid(fact.kind, fact.example)
    assert fact.schema["title"] == fact.kind
    assert f"| `{fact.kind}` |" in DOCS


def said_in_calls():
    """The literal names of facts in calls of `publish`, `tell` and their like."""
    for package in ("aforo", "catalog", "metering", "billing", "webhooks"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                values = [*node.args, *(one.value for one in node.keywords if one.arg == "fact")]
                name = ast.unparse(node.func).rpartition(".")[2]
                if name.lstrip("_") in {"publish", "publish_many", "tell"}:
                    yield from ((path, value) for value in values)


def test_whatever_is_published_by_name_is_a_kind():
    named = [
        (path, value.value)
        for path, value in said_in_calls()
        if isinstance(value, ast.Constant) and KIND.match(str(value.value))
    ]
    assert len(named) >= 8
    assert not [(path, kind) for path, kind in named if kind not in facts()]


@pytest.mark.django_db
def test_a_payload_unlike_its_schema_is_no_fact_while_developing():
    tenant = TenantFactory()
    said = {"tenant_id": tenant.pk, "now": NOW}
    publish(fact="dead_letter.threshold_reached", payload={"threshold": 5}, **said)
    with pytest.raises(UnlikeItsSchema, match=r"\$\.threshold: 'five' is not of type 'integer'"):
        publish(fact="dead_letter.threshold_reached", payload={"threshold": "five"}, **said)
    with pytest.raises(UnknownFact, match=r"aforo/outbox/facts/made\.up\.json"):
        publish_many(fact="made.up", payloads={tenant.pk: {}}, **said)
    assert OutboxMessage.objects.count() == 1


@pytest.mark.django_db
def test_an_installation_that_does_not_develop_looks_at_no_payload(settings):
    settings.FACT_CHECKER = ""
    publish(tenant_id=TenantFactory().pk, fact="made.up", payload={}, now=NOW)
