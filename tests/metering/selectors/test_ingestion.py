"""How metering does now: sources, units and the backlog, by stated rules."""

from datetime import UTC, datetime, timedelta

import pytest

from metering.ingest import unit_use
from metering.models import UnitActivity
from metering.selectors.ingestion import Health, Source, ingestion
from metering.services.activity import write_unit_uses
from tests.factories import BillableUnitFactory, TenantFactory
from tests.metering.conftest import NOW
from tests.metering.events import event
from tests.metering.selectors.test_live_summary import receipt

AT = datetime(2026, 3, 15, 14, 37, 20, tzinfo=UTC)


def ago(minutes):
    return AT - timedelta(minutes=minutes)


@pytest.fixture
def tenant(db):
    return TenantFactory()


def test_the_hour_is_told_minute_by_minute(tenant):
    receipt(tenant, ago(1), events=30)
    receipt(tenant, ago(2), events=20)
    receipt(tenant, ago(59), events=5)
    receipt(tenant, ago(61), events=1000)
    found = ingestion(tenant=tenant, now=AT)

    assert [minute.events for minute in found.minutes] == [5, *[0] * 56, 20, 30, 0]
    assert (found.events, found.events_per_minute) == (55, 10.0)
    assert (found.success_rate, found.refused) == (1.0, 0)


def test_without_receipts_there_is_no_rate(tenant):
    found = ingestion(tenant=tenant, now=AT)
    assert (found.success_rate, found.sources, found.errors) == (None, [], [])
    assert (found.backlog.batches, found.dead_letters) == (0, 0)


def test_refused_events_are_told_by_their_codes(tenant):
    codes = [[0, "INVALID_EVENT"], [1, "UNKNOWN_METRIC"], [2, "UNKNOWN_METRIC"]]
    one = receipt(tenant, ago(1), events=10, duplicates=0)
    type(one).objects.filter(pk=one.pk).update(counted=7, dead=3, refusals=codes)
    found = ingestion(tenant=tenant, now=AT)

    assert found.errors == [("UNKNOWN_METRIC", 2), ("INVALID_EVENT", 1)]
    assert (found.refused, found.schema_violations, found.success_rate) == (3, 1, 0.7)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, Health.NO_DATA),
        ({"events": 100, "recent_events": 100, "recent_refused": 5}, Health.HEALTHY),
        ({"events": 100, "recent_events": 100, "recent_refused": 6}, Health.DEGRADED),
        ({"events": 100, "recent_events": 100, "recent_refused": 100}, Health.DOWN),
        ({"events": 100, "earlier_minutes": 29}, Health.HEALTHY),
        ({"events": 100, "earlier_minutes": 30}, Health.DOWN),
    ],
)
def test_the_health_of_a_source(seen, expected):
    assert Source("API", "/v1/ingest", None, "", **seen).health == expected


def test_sources_are_told_apart_by_kind_route_and_key(seller):
    seller.count(event(1))
    seller.send(event(2), path="/v1/ingest/events")
    seller.drain()
    found = ingestion(tenant=seller.tenant, now=NOW + timedelta(seconds=1))
    assert [(one.source, one.door, one.events) for one in found.sources] == [
        ("API", "/v1/ingest/batch", 1),
        ("API", "/v1/ingest/events", 1),
    ]
    assert {one.key_name for one in found.sources} != {""}


def test_what_waits_is_the_tenants_own(seller):
    seller.send(event(1), event(2))
    found = ingestion(tenant=seller.tenant, now=datetime(2100, 1, 1, tzinfo=UTC))
    assert (found.backlog.batches, found.backlog.events) == (1, 2)
    assert found.backlog.oldest_seconds > 0


def test_a_unit_without_events_for_a_day_has_no_data(seller):
    now = datetime(2026, 3, 15, 12, tzinfo=UTC)
    calls, tokens = (unit for unit in ingestion(tenant=seller.tenant, now=now).units)
    old = BillableUnitFactory(tenant=seller.tenant, name="old")
    uses = [(calls.id, seller.tenant.pk, now), (old.pk, seller.tenant.pk, now - timedelta(days=2))]
    assert write_unit_uses(uses) == 2

    health = {one.name: one.health for one in ingestion(tenant=seller.tenant, now=now).units}
    assert health == {"calls": "HEALTHY", "old": "NO_DATA", "tokens": "NO_DATA"}
    assert tokens.last_event_at is None


def test_a_unit_whose_metric_is_refused_is_degraded_or_down(seller):
    now = NOW
    calls, _ = ingestion(tenant=seller.tenant, now=now).units
    seller.count(event(1, customerId="nobody"))

    def health():
        return {one.name: one.health for one in ingestion(tenant=seller.tenant, now=now).units}

    assert health()["calls"] == "DOWN"
    write_unit_uses([(calls.id, seller.tenant.pk, now)])
    assert health()["calls"] == "DEGRADED"


def test_drains_note_which_units_had_events(seller, django_capture_on_commit_callbacks):
    unit_use.take_uses()
    with django_capture_on_commit_callbacks(execute=True):
        seller.count(event(1), event(2))

    (used,) = unit_use.take_uses()
    calls, _ = ingestion(tenant=seller.tenant, now=NOW).units
    assert used[:2] == (calls.id, seller.tenant.pk)
    assert write_unit_uses([used]) == 1
    assert write_unit_uses([used]) == 0
    assert UnitActivity.objects.get().last_event_at == used[2]
