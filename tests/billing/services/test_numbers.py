from datetime import UTC, datetime

import pytest
from django.db import transaction

from aforo.tenancy.services.actors import Actor
from billing.models import Invoice
from billing.services.invoices import bill_periods, finalize_invoice
from billing.services.numbers import draw_numbers
from catalog.models import BillingEntity
from tests.billing.build import bill_run, priced_subscription
from tests.factories import BillingEntityFactory, TenantFactory
from tests.threads import in_threads

ACTOR = Actor.system("tests")
NOW = datetime(2026, 4, 2, tzinfo=UTC)


@pytest.mark.django_db
def test_each_entity_counts_for_itself():
    tenant = TenantFactory()
    one = BillingEntityFactory(tenant=tenant, invoice_prefix="US")
    two = BillingEntityFactory(
        tenant=tenant, invoice_prefix="EU", is_default=False, next_invoice_number=42
    )
    numbers = draw_numbers([one.id, two.id, one.id], issued_at=NOW)
    assert numbers == ["US-2026-0001", "EU-2026-0042", "US-2026-0002"]
    nexts = BillingEntity.objects.order_by("code").values_list("next_invoice_number", flat=True)
    assert sorted(nexts) == [3, 43]


@pytest.mark.django_db
def test_the_year_is_that_of_the_entity():
    entity = BillingEntityFactory(time_zone="Pacific/Auckland")
    eve = datetime(2026, 12, 31, 12, tzinfo=UTC)
    assert draw_numbers([entity.id], issued_at=eve) == ["INV-2027-0001"]


@pytest.mark.django_db(transaction=True)
def test_a_number_of_a_transaction_that_rolls_back_is_drawn_again():
    entity = BillingEntityFactory()
    with transaction.atomic():
        draw_numbers([entity.id], issued_at=NOW)
        transaction.set_rollback(True)
    assert draw_numbers([entity.id], issued_at=NOW) == ["INV-2026-0001"]


@pytest.mark.django_db(transaction=True)
def test_eight_threads_leave_no_gap():
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    tenant, version = period.tenant, period.subscription.plans.get().version
    periods = [period] + [priced_subscription(tenant=tenant, version=version)[0] for _ in range(23)]
    run = bill_run(tenant)
    bill_periods(run=run, period_ids=[one.id for one in periods], now=NOW)
    drafts = list(Invoice.objects.order_by("id"))

    def finalize(index):
        for draft in drafts[index % 4 * 6 : index % 4 * 6 + 6]:  # each draft is wanted by two
            finalize_invoice(invoice=draft, actor=ACTOR, now=NOW)
            with transaction.atomic():  # and some draw a number and fail
                draw_numbers([draft.billing_entity_id], issued_at=NOW)
                transaction.set_rollback(True)

    in_threads(8, finalize)
    numbers = sorted(Invoice.objects.values_list("number", flat=True))
    assert numbers == [f"INV-2026-{number:04d}" for number in range(1, 25)]


@pytest.mark.django_db(transaction=True)
def test_threads_that_issue_for_two_entities_in_any_order_do_not_deadlock():
    tenant = TenantFactory()
    one = BillingEntityFactory(tenant=tenant)
    two = BillingEntityFactory(tenant=tenant, is_default=False)

    def draw(index):
        for _ in range(20):
            wanted = [one.id, two.id] if index % 2 else [two.id, one.id]
            draw_numbers(wanted, issued_at=NOW)

    in_threads(8, draw)
    nexts = BillingEntity.objects.values_list("next_invoice_number", flat=True)
    assert list(nexts) == [161, 161]
