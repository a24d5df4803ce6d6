"""Drafts that wait for an external engine: asked about, taxed, issued; or kept, and asked again."""

import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import Invoice
from billing.services.invoices import bill_periods, finalize_invoice
from billing.taxes import engine as engines
from billing.taxes.settling import ask_again, settle_taxes
from catalog.models import BillingEntity
from catalog.services.billing_entities import rotate_tax_secret
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.billing.taxes.engine_server import vat
from tests.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 4, 2, tzinfo=UTC)
ACTOR = Actor.system("tests")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def drafted(engine):
    """A function that bills March, 100.00 and 2.50 less 10 %, by an entity that asks the engine."""

    def drafted(*, auto_finalize=True, count=1, **fields):
        period, (unit,) = priced_subscription(
            {"model": "PER_UNIT", "rate": "0.50"}, base_fee="100.00", discount_percent="10"
        )
        entity = period.subscription.billing_entity
        fields = {"tax_engine": "HTTP", "tax_url": engine.url, "country": "DE"} | fields
        BillingEntity.objects.filter(pk=entity.pk).update(**fields)
        engine.secret = rotate_tax_secret(entity=entity, actor=ACTOR, now=NOW).encode()
        meter(period, unit, [1, 1, 1, 1, 1])
        run = bill_run(period.tenant, auto_finalize=auto_finalize)
        tenant, version = period.tenant, period.subscription.plans.get().version
        more = [priced_subscription(tenant=tenant, version=version)[0] for _ in range(count - 1)]
        bill_periods(run=run, period_ids=[one.id for one in (period, *more)], now=NOW)
        return Invoice.objects.get(period=period)

    return drafted


def state(invoice):
    invoice.refresh_from_db()
    return invoice.status, invoice.tax_status, str(invoice.total)


def taxes(invoice):
    lines = invoice.lines.filter(stage="Tax").order_by("position")
    return [(line.type, line.description, str(line.amount)) for line in lines]


def test_the_answer_becomes_lines_and_the_invoice_is_issued(drafted, engine):
    invoice = drafted()
    assert state(invoice) == ("DRAFT", "PENDING", "92.2500")
    assert settle_taxes(now=NOW) == 1
    assert state(invoice) == ("OPEN", "SETTLED", "109.7800")
    assert taxes(invoice) == [("TAX_ADJUSTMENT", "VAT 19 % on 92.25", "17.5300")]
    assert [line.tax_percent for line in invoice.lines.order_by("position")] == [19, 19, None, 19]
    assert (invoice.tax_total, invoice.number) == (Decimal("17.53"), "INV-2026-0001")
    assert not broken_truths()


def test_an_engine_is_asked_once_signed_and_told_what_it_needs(drafted, engine):
    invoice = drafted()
    settle_taxes(now=NOW)
    assert settle_taxes(now=NOW) == 0
    (raw,), (headers,) = engine.asked, engine.headers
    question = json.loads(raw)
    at, given = headers["X-Aforo-Signature"].removeprefix("t=").split(",v1=")
    assert at == str(int(NOW.timestamp()))
    assert given == hmac.digest(engine.secret, at.encode() + b"." + raw, "sha256").hex()
    assert headers["Idempotency-Key"] == f"{invoice.id}-{question['revision']}"
    assert question["invoiceId"] == str(invoice.id)
    assert (question["currency"], question["date"]) == ("USD", "2026-03-31")
    assert question["pricesIncludeTax"] is False
    assert question["seller"]["country"] == "DE"
    assert [(line["position"], line["amount"]) for line in question["lines"]] == [
        (1, "90.00"),
        (2, "2.25"),
    ]


def test_a_draft_that_was_not_to_be_issued_stays_one_with_its_tax(drafted):
    invoice = drafted(auto_finalize=False)
    assert settle_taxes(now=NOW) == 1
    assert state(invoice) == ("DRAFT", "SETTLED", "109.7800")
    assert finalize_invoice(invoice=invoice, actor=ACTOR, now=NOW).status == "OPEN"


def test_days_of_grace_are_granted_with_the_tax_too(drafted):
    invoice = drafted(grace_days=3)
    settle_taxes(now=NOW)
    assert state(invoice) == ("DRAFT", "SETTLED", "109.7800")


def test_contained_tax_is_taken_out_of_the_prices(drafted, engine):
    def contained(question):
        taxes = [
            {"position": 1, "taxes": [{"name": "VAT", "percent": "19", "amount": "14.37"}]},
            {"position": 2, "taxes": [{"name": "VAT", "percent": "19", "amount": "0.36"}]},
        ]
        return 200, {"lines": taxes, "taxTotal": "14.73"}

    engine.answers = contained
    invoice = drafted(tax_inclusive=True)
    assert settle_taxes(now=NOW) == 1
    assert state(invoice) == ("OPEN", "SETTLED", "92.2500")
    assert taxes(invoice) == [
        ("CREDIT", "Tax contained in the prices", "-14.7300"),
        ("TAX_ADJUSTMENT", "VAT 19 % contained in 92.25", "14.7300"),
    ]
    assert not broken_truths()


def test_no_tax_may_be_the_answer_with_its_reason(drafted, engine):
    engine.answers = lambda question: (
        200,
        {
            "lines": [{"position": line["position"], "taxes": []} for line in question["lines"]],
            "taxTotal": "0",
            "notes": ["Reverse charge"],
        },
    )
    invoice = drafted()
    settle_taxes(now=NOW)
    assert state(invoice) == ("OPEN", "SETTLED", "92.2500")
    assert taxes(invoice) == [("TAX_ADJUSTMENT", "Reverse charge", "0.0000")]


def lying(change):
    def answer(question):
        said = vat(question)
        change(said)
        return 200, said

    return answer


def six_hundred(name):
    return {"name": name, "percent": "600", "amount": "540"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: (500, b"oops"), "answered 500"),
        (lambda _: (302, b""), "answered 302"),
        (lambda _: (404, b""), "answered 404"),
        (lambda _: (200, b"<html>"), "the answer cannot be read"),
        (lambda _: (200, b"[]"), "the answer cannot be read"),
        (lambda _: (200, b" " * 1_000_001), "longer than 1,000,000 bytes"),
        (lying(lambda said: said.update(taxTotal="17.52")), "taxTotal is 17.52"),
        (lying(lambda said: said["lines"].pop()), "each line that was asked about, once"),
        (lying(lambda said: said["lines"].append(said["lines"][0])), "each line that was asked"),
        (
            lying(lambda said: said["lines"][0]["taxes"][0].update(amount="17.20")),
            "line 1: 19 % is 17.1, not 17.2",
        ),
        (
            lying(lambda said: said["lines"][0]["taxes"][0].update(amount="17.101")),
            "line 1: 17.101 is no amount of USD",
        ),
        (
            lying(lambda said: said["lines"][0]["taxes"][0].update(amount="1E+999999")),
            "is no amount of USD",
        ),
        (
            lying(lambda said: said["lines"][0]["taxes"][0].update(percent="NaN")),
            "line 1: NaN is no percentage",
        ),
        (lying(lambda said: said["lines"][0]["taxes"][0].update(name="")), "cannot be read"),
        (
            lying(lambda said: said["lines"][0]["taxes"][0].update(name="A\x00")),
            "line 1: a nul character is in the name of a tax",
        ),
        (
            lying(lambda said: said["lines"][0].update(taxes=[six_hundred("A"), six_hundred("B")])),
            "line 1: 1200 % is no tax of a line",
        ),
        (lying(lambda said: said.update(notes=["A\x00"])), "could not be written: DataError"),
    ],
)
def test_an_engine_that_fails_or_lies_leaves_the_draft_as_it_is(drafted, engine, answer, reason):
    engine.answers = answer
    invoice = drafted()
    assert settle_taxes(now=NOW) == 0
    assert state(invoice) == ("DRAFT", "FAILED", "92.2500")
    assert reason in invoice.tax_error
    assert taxes(invoice) == []
    with pytest.raises(Conflict, match="the tax of"):
        finalize_invoice(invoice=invoice, actor=ACTOR, now=NOW)


def test_an_engine_that_hangs_is_given_up_on(drafted, engine, monkeypatch):
    monkeypatch.setattr(engines, "SECONDS", 1)
    engine.answers = engine.hang
    invoice = drafted()
    assert settle_taxes(now=NOW) == 0
    assert state(invoice) == ("DRAFT", "FAILED", "92.2500")
    assert invoice.tax_error.startswith("no answer: ")


def test_a_failing_engine_is_asked_again_after_ever_longer_pauses(drafted, engine):
    engine.answers = lambda _: (503, b"")
    invoice = drafted()
    waits, now = [], NOW
    for _ in range(12):
        assert settle_taxes(now=now) == 0
        invoice.refresh_from_db()
        waits.append((invoice.tax_retry_at - now) // MINUTE)
        now = invoice.tax_retry_at
        assert settle_taxes(now=now - timedelta(seconds=1)) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]
    assert len(engine.asked) == 12
    assert len({headers["Idempotency-Key"] for headers in engine.headers}) == 1
    engine.answers = lambda question: (200, vat(question))
    assert settle_taxes(now=now) == 1
    assert state(invoice) == ("OPEN", "SETTLED", "109.7800")
    assert invoice.tax_error == ""


def test_an_engine_that_is_away_is_not_asked_about_the_next_draft(drafted, engine):
    engine.answers = lambda _: (503, b"")
    drafted(count=2)
    assert settle_taxes(now=NOW) == 0
    assert len(engine.asked) == 1


def test_somebody_may_have_it_asked_again_at_once(drafted, engine, queued):
    engine.answers = lambda _: (503, b"")
    invoice = drafted()
    settle_taxes(now=NOW)
    engine.answers = lambda question: (200, vat(question))
    assert settle_taxes(now=NOW) == 0
    ask_again(invoice=invoice, actor=ACTOR, now=NOW)
    assert queued[-1] == ("billing.settle_taxes", {})
    assert settle_taxes(now=NOW) == 1
    with pytest.raises(Conflict, match="waits for no tax engine"):
        ask_again(invoice=invoice, actor=ACTOR, now=NOW)


def test_an_answer_about_what_has_changed_meanwhile_is_not_written(drafted, engine):
    invoice = drafted()

    def while_it_changes(question):
        invoice.lines.filter(position=1).update(description="another")
        return 200, vat(question)

    engine.answers = while_it_changes
    assert settle_taxes(now=NOW) == 0
    assert taxes(invoice) == []
    engine.answers = lambda question: (200, vat(question))
    assert settle_taxes(now=NOW + timedelta(minutes=6)) == 1
    assert len({json.loads(raw)["revision"] for raw in engine.asked}) == 2


def test_without_an_address_or_a_secret_nothing_is_sent(drafted, engine):
    invoice = drafted(tax_url="")
    settle_taxes(now=NOW)
    assert state(invoice)[1] == "FAILED"
    BillingEntity.objects.update(tax_url=engine.url, tax_secret=None)
    settle_taxes(now=NOW + MINUTE)
    invoice.refresh_from_db()
    assert "has no secret to sign questions with" in invoice.tax_error
    BillingEntity.objects.update(tax_secret=b"sealed under a key that is gone")
    settle_taxes(now=NOW + timedelta(minutes=5))
    invoice.refresh_from_db()
    assert "cannot be opened: rotate it" in invoice.tax_error
    assert not engine.asked


def test_eight_at_once_ask_and_tax_once(drafted, engine):
    invoice = drafted()
    results = in_threads(8, lambda _: settle_taxes(now=NOW))
    assert sum(results) == 1
    assert len(engine.asked) == 1
    assert taxes(invoice) == [("TAX_ADJUSTMENT", "VAT 19 % on 92.25", "17.5300")]


def test_an_engine_is_never_asked_inside_a_transaction(drafted, engine):
    drafted()
    with transaction.atomic(), pytest.raises(RuntimeError, match="while rows are locked"):
        settle_taxes(now=NOW)
    assert not engine.asked
