"""`unknownMetric: CREATE`: what nobody has defined is counted unbilled, and gets a draft unit."""

import pytest

from aforo.tenancy.models import AuditEntry, Tenant
from catalog.models import BillableUnit
from metering.ingest import drain, enrichment, undefined
from metering.models import UnknownMetric
from metering.services import drafted_units
from metering.services.drafted_units import draft_units
from tests.factories import BillableUnitFactory
from tests.metering.conftest import NOW, catalog_changed
from tests.metering.events import event, outcomes, rows
from tests.metering.letters import assert_balanced
from tests.threads import in_threads


@pytest.fixture
def drafting(seller, asked):
    """A seller whose tenant wants units drafted."""
    switch(seller, Tenant.UnknownMetric.CREATE)
    return seller


def switch(seller, policy):
    Tenant.objects.filter(pk=seller.tenant.pk).update(unknown_metric=policy)
    catalog_changed(seller.tenant)


@pytest.fixture
def asked(monkeypatch):
    """The tasks that drains ask for."""
    names = []
    monkeypatch.setattr(undefined, "enqueue", names.append)
    return names


def drafted(tenant):
    units = BillableUnit.objects.for_tenant(tenant).exclude(name__in=("calls", "tokens"))
    return sorted(units.values_list("name", flat=True))


def test_an_unknown_metric_is_unbilled_and_gets_a_draft_unit(drafting, asked):
    answer = drafting.count(event(1, metricName="gpu"), event(2, metricName="gpu"), event(3))
    assert answer.status_code == 202
    assert outcomes() == {"counted": 1, "unbilled": 2}
    assert asked == ["metering.draft_units"]
    assert draft_units(now=NOW) == 1
    unit = BillableUnit.objects.get(name="gpu")
    assert (unit.aggregation, unit.tenant_id) == ("COUNT", drafting.tenant.pk)
    entry = AuditEntry.objects.get(action="BILLABLE_UNIT_CREATED")
    assert entry.actor_name == "drafted for an unknown metric"
    noted = UnknownMetric.objects.get()
    assert (noted.name, noted.unit_id, noted.drafted_at) == ("gpu", unit.pk, NOW)
    drafting.count(event(4, metricName="gpu"))
    assert [row.unit_id for row in rows() if row.idempotency_key == "key-4"] == [unit.pk]
    assert_balanced(drafting.tenant, received=4)


def test_a_name_is_noted_once_and_asked_for_once(drafting, asked):
    for number in range(3):
        drafting.count(event(number, metricName="gpu"))
        enrichment.forget_everything()
    assert UnknownMetric.objects.count() == 1
    assert asked == ["metering.draft_units"]
    assert draft_units(now=NOW) == 1
    assert draft_units(now=NOW) == 0
    assert drafted(drafting.tenant) == ["gpu"]


@pytest.mark.parametrize("policy", ["REJECT", "ACCEPT_UNBILLED"])
def test_other_policies_note_nothing(seller, asked, policy):
    switch(seller, policy)
    seller.count(event(metricName="gpu"))
    assert not UnknownMetric.objects.exists()
    assert asked == []


def test_a_known_metric_an_unknown_customer_and_a_heartbeat_draft_nothing(drafting):
    drafting.count(
        event(1),
        event(2, metricName="gpu", customerId="nobody"),
        event(3, metricName="system.session.heartbeat", quantity=0),
    )
    assert not UnknownMetric.objects.exists()


def test_a_drain_that_is_rolled_back_loses_no_name(drafting, monkeypatch):
    drafting.send(event(metricName="gpu"))
    with monkeypatch.context() as patched:
        patched.setattr(drain.write, "receipts", fails)
        with pytest.raises(OSError, match="the disk is full"):
            drafting.drain()
    assert not UnknownMetric.objects.exists()
    drafting.drain()
    assert UnknownMetric.objects.get().name == "gpu"


def fails(*_, **__):
    raise OSError("the disk is full")


@pytest.mark.django_db(transaction=True)  # a name is forgotten once a commit has stored it
def test_a_drain_without_new_names_makes_no_statement_for_them(drafting, monkeypatch):
    drafting.count(event(1, metricName="gpu"))
    monkeypatch.setattr(undefined, "hot_cursor", fails)
    drafting.count(event(2, metricName="gpu"), event(3))
    assert_balanced(drafting.tenant, received=3)


def test_a_sender_that_makes_names_makes_a_bounded_number_of_units(drafting, monkeypatch):
    monkeypatch.setattr(undefined, "MOST_NAMES", 5)
    for start in range(0, 60, 20):
        drafting.count(*(event(n, metricName=f"m-{n:02}") for n in range(start, start + 20)))
    assert outcomes() == {"unbilled": 60}
    draft_units(now=NOW)
    assert drafted(drafting.tenant) == [f"m-{n:02}" for n in range(5)]


def test_units_are_drafted_page_by_page(drafting, monkeypatch):
    monkeypatch.setattr(drafted_units, "UNITS_AT_A_TIME", 2)
    drafting.count(*(event(n, metricName=f"m-{n}") for n in range(5)))
    assert draft_units(now=NOW) == 5
    assert len(drafted(drafting.tenant)) == 5


@pytest.mark.parametrize("name", ["n" * 300, "x" * 201])
def test_a_name_that_no_unit_may_have_is_given_up(drafting, name):
    drafting.count(event(metricName=name))
    assert draft_units(now=NOW) == 1
    assert UnknownMetric.objects.get().unit_id is None
    assert drafted(drafting.tenant) == []
    assert draft_units(now=NOW) == 0


def test_a_unit_that_was_archived_stays_so(drafting):
    unit = BillableUnitFactory(tenant=drafting.tenant, name="gpu", archived_at=NOW)
    drafting.count(event(metricName="gpu"))
    draft_units(now=NOW)
    assert UnknownMetric.objects.get().unit_id == unit.pk
    assert drafted(drafting.tenant) == ["gpu"]


def test_a_switch_that_is_moved_back_drafts_no_more(drafting):
    drafting.count(event(metricName="gpu"))
    switch(drafting, Tenant.UnknownMetric.REJECT)
    assert draft_units(now=NOW) == 0
    assert drafted(drafting.tenant) == []


@pytest.mark.django_db(transaction=True)
def test_eight_drains_and_eight_drafters_make_one_unit_of_a_name(drafting):
    for number in range(16):
        drafting.send(*(event(f"{number}-{n}", metricName=f"m-{n}") for n in range(10)))

    def act(index):
        drafting.drain(limit=10)
        draft_units(now=NOW)

    in_threads(8, act)
    draft_units(now=NOW)
    assert drafted(drafting.tenant) == [f"m-{n}" for n in range(10)]
    assert outcomes() == {"unbilled": 160}
