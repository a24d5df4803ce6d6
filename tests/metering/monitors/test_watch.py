"""When monitors look: each hour, week and allowance once, on the clock of each tenant."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from metering.models import MonitorProgress, UnitHealth
from metering.monitors import watch
from metering.monitors.summing import SETTLED, sum_usage
from metering.monitors.watch import ask_for_watching, watch_tenant
from tests.factories import SandboxFactory, TenantFactory
from tests.metering.events import event

NOW = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def looked(monkeypatch):
    """The hours and weeks that monitors were asked about."""
    asked = []
    monkeypatch.setattr(
        watch, "find_anomalies", lambda *, hour, **_: asked.append(hour.isoformat()) or 1
    )
    monkeypatch.setattr(watch, "find_drops", lambda *, end, **_: asked.append(str(end.date())) or 1)
    return asked


@pytest.mark.django_db
def test_an_hour_is_judged_once_ten_minutes_after_its_end(looked):
    tenant = TenantFactory()
    assert watch_tenant(tenant_id=tenant.pk, now=NOW) == 2
    assert looked == ["2026-03-15T11:00:00+00:00", "2026-03-15"]
    assert watch_tenant(tenant_id=tenant.pk, now=NOW + timedelta(minutes=39)) == 0
    assert watch_tenant(tenant_id=tenant.pk, now=NOW + timedelta(minutes=41)) == 1
    assert watch_tenant(tenant_id=tenant.pk, now=NOW + 3 * HOUR) == 2
    assert looked[2:] == [f"2026-03-15T{hour}:00:00+00:00" for hour in (12, 13, 14)]


@pytest.mark.django_db
def test_long_pauses_are_made_up_for_as_far_as_it_makes_sense(looked):
    tenant = TenantFactory()
    watch_tenant(tenant_id=tenant.pk, now=NOW)
    assert watch_tenant(tenant_id=tenant.pk, now=NOW + timedelta(days=30)) == 48 + 7


@pytest.mark.django_db
def test_the_clock_is_the_tenants(looked):
    frozen = SandboxFactory(clock_frozen_at=datetime(2025, 1, 1, 9, 15, tzinfo=UTC))
    watch_tenant(tenant_id=frozen.pk, now=NOW)
    assert watch_tenant(tenant_id=frozen.pk, now=NOW + HOUR) == 0
    assert looked == ["2025-01-01T08:00:00+00:00", "2025-01-01"]


def test_nothing_is_judged_while_old_events_wait_to_be_summed_up(seller, looked):
    sum_usage()  # what was drawn from the sequence before
    seller.count(event(1), event(2), event(3))
    now = timezone.now() + SETTLED + timedelta(minutes=1)
    watch_tenant(tenant_id=seller.tenant.pk, now=now)
    assert looked == []
    ask_for_watching()
    watch_tenant(tenant_id=seller.tenant.pk, now=now)
    assert len(looked) == 2
    assert UnitHealth.objects.filter(tenant=seller.tenant).count() == 2
    assert MonitorProgress.objects.get().paced_at is not None
