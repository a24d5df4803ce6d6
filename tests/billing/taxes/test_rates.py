"""The table of tax rates: it grows at its end, and keeps what invoices were made by."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from billing.models import TaxRate
from billing.taxes import rates
from tests.factories import NOW, InvoiceFactory, TenantFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
TODAY = NOW.date()
TOMORROW = TODAY + timedelta(days=1)
YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture
def add(tenant, actor):
    def add(percent="19", now=NOW, **fields):
        smallest = {"name": "VAT", "country": "DE"}
        given = smallest | fields
        return rates.add_rate(
            tenant=tenant, actor=actor, now=now, percent=Decimal(percent), **given
        )

    return add


@pytest.fixture
def change(actor):
    def change(rate, **edits):
        return rates.change_rate(rate=rate, edits=edits, actor=actor, now=NOW)

    return change


@pytest.fixture
def invoiced(tenant):
    return lambda: InvoiceFactory(tenant=tenant, created_at=NOW)


def spans(tenant):
    return [
        (rate.percent, rate.valid_from, rate.valid_until)
        for rate in rates.tax_rates(tenant=tenant).order_by("valid_from")
    ]


def test_a_rate_is_on_record(add, tenant):
    rate = add(country="de", region=" BW ", valid_from=TODAY)
    assert (rate.country, rate.region) == ("DE", "BW")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target_name) == ("TAX_RATE_ADDED", "VAT DE 19 %")
    assert entry.changes["percent"] == {"before": None, "after": "19"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"country": "Germany"}, "country"),
        ({"country": "D1"}, "country"),
        ({"country": "ZZ"}, "country"),
        ({"country": "EU"}, "country"),
        ({"name": " "}, "name"),
        ({"percent": "-1"}, "percent"),
        ({"percent": "NaN"}, "percent"),
        ({"percent": "1000"}, "percent"),
        ({"valid_from": TODAY, "valid_until": TODAY}, "validUntil"),
    ],
)
def test_an_impossible_rate_is_refused_by_field(add, fields, field):
    with pytest.raises(Refused) as refusal:
        add(**fields)
    assert [fault.field for fault in refusal.value.errors] == [field]
    assert not TaxRate.objects.exists()


def test_the_next_rate_ends_the_one_before(add, tenant, invoiced):
    add("19")
    invoiced()
    add("21", valid_from=TOMORROW)
    assert spans(tenant) == [(21, TOMORROW, None), (19, None, TOMORROW)]


def test_another_name_region_or_code_is_another_tax(add, tenant):
    for fields in ({}, {"name": "Tax"}, {"region": "BW"}, {"tax_code": "BOOKS"}):
        add(**fields)
    assert len(spans(tenant)) == 4


def test_no_rate_takes_the_place_of_one_in_the_past(add, tenant, invoiced):
    add("19")
    invoiced()
    with pytest.raises(Conflict, match="'VAT DE 19 %' was in force until today"):
        add("21", valid_from=YESTERDAY)
    assert spans(tenant) == [(19, None, None)]


def test_before_the_first_invoice_the_past_may_be_set_right(add, tenant):
    add("19")
    add("21", valid_from=YESTERDAY)
    assert spans(tenant) == [(21, YESTERDAY, None), (19, None, YESTERDAY)]


@pytest.mark.parametrize(
    "fields",
    [{}, {"valid_from": date(2020, 1, 1), "valid_until": TOMORROW}, {"valid_until": YESTERDAY}],
)
def test_no_moment_has_two_rates_of_one_tax(add, fields):
    add("19", valid_until=TOMORROW)
    with pytest.raises(Conflict) as refusal:
        add("21", **fields)
    assert refusal.value.code == "TAX_RATE_OVERLAPS"


def test_a_rate_may_be_changed_until_invoices_were_made_by_it(add, change, invoiced):
    rate = add("19")
    assert change(rate, percent=Decimal(16)).percent == 16
    invoiced()
    with pytest.raises(Conflict, match="add another rate from a day on"):
        change(rate, percent=Decimal(19))
    with pytest.raises(Conflict, match="not moved from or into the past"):
        change(rate, valid_until=YESTERDAY)
    assert change(rate, valid_until=TODAY).valid_until == TODAY
    rate.refresh_from_db()
    assert (rate.percent, rate.valid_until) == (16, TODAY)


def test_a_rate_to_come_may_be_changed(add, change, invoiced):
    rate = add("19", valid_from=TOMORROW)
    invoiced()
    assert change(rate, percent=Decimal(16)).percent == 16


def test_an_unused_rate_is_removed_and_one_in_use_is_not(add, actor, tenant, invoiced):
    rates.remove_rate(rate=add(), actor=actor, now=NOW)
    assert spans(tenant) == []
    used = add()
    invoiced()
    with pytest.raises(Conflict, match="let it end instead"):
        rates.remove_rate(rate=used, actor=actor, now=NOW)
    assert len(spans(tenant)) == 1
    actions = AuditEntry.objects.order_by("at", "pk").values_list("action", flat=True)
    assert sorted(actions) == ["TAX_RATE_ADDED", "TAX_RATE_ADDED", "TAX_RATE_REMOVED"]


def test_invoices_of_somebody_else_do_not_fix_a_rate(add, change):
    rate = add()
    InvoiceFactory(tenant=TenantFactory(), created_at=datetime.max.replace(tzinfo=UTC))
    assert change(rate, percent=Decimal(16)).percent == 16


@pytest.mark.django_db(transaction=True)
def test_of_eight_at_once_one_adds_a_rate(actor):
    tenant = TenantFactory()

    def add(_):
        try:
            rates.add_rate(
                tenant=tenant, actor=actor, now=NOW, name="VAT", country="DE", percent=Decimal(19)
            )
        except Conflict as refusal:
            return refusal.code
        return "ADDED"

    assert sorted(in_threads(8, add)) == ["ADDED", *["TAX_RATE_OVERLAPS"] * 7]
    assert TaxRate.objects.count() == 1
