"""How long the doors take: counted in buckets, told to Redis, read as quantiles."""

import time
from uuid import uuid4

import pytest

from aforo.errors import TooMany, Unreadable
from metering.ingest import acknowledgements
from metering.ingest.acknowledgements import Acknowledgements, Measured, latency_of
from tests.metering.events import event


@pytest.fixture
def process(monkeypatch):
    """A process whose measurements are told by hand."""
    own = Acknowledgements()
    monkeypatch.setattr(acknowledgements, "ACKNOWLEDGEMENTS", own)
    monkeypatch.setattr("metering.ingest.acknowledgements.TELL_EVERY", 3600.0)
    return own


def now():
    return int(time.time() // 60)


def test_quantiles_are_never_better_than_the_truth(process):
    tenant = uuid4()
    for milliseconds in range(1, 101):
        process.note(tenant, milliseconds / 1000)
    process.tell()

    found = latency_of(tenant, minute=now())
    assert found.requests == 100
    assert found.average == pytest.approx(0.0505, rel=0.001)
    for quantile, exact in ((found.p50, 0.050), (found.p95, 0.095), (found.p99, 0.099)):
        assert exact <= quantile <= exact * 1.2


def test_several_processes_add_up_and_tenants_do_not(process):
    tenant, other = uuid4(), uuid4()
    for one in (process, Acknowledgements()):
        one.note(tenant, 0.001)
        one.tell()
    process.note(other, 0.5)
    process.tell()

    assert latency_of(tenant, minute=now()).requests == 2
    assert latency_of(tenant, minute=now() + 61).requests == 0


def test_nothing_measured_is_nothing_told(process):
    found = latency_of(uuid4(), minute=now())
    assert (found.requests, found.average, found.p99) == (0, None, None)


def test_what_takes_an_age_is_in_the_last_bucket(process):
    tenant = uuid4()
    process.note(tenant, 60.0)
    process.tell()
    assert latency_of(tenant, minute=now()).p50 == acknowledgements.BOUNDS[-1]


def test_only_what_was_made_durable_is_measured_and_who_was_sent_away_is_counted(process):
    tenant = uuid4()
    with Measured(tenant):
        pass
    with pytest.raises(Unreadable), Measured(tenant):
        raise Unreadable("no")
    with pytest.raises(TooMany), Measured(tenant):
        raise TooMany("slow down", retry_after=1)
    process.tell()

    found = latency_of(tenant, minute=now())
    assert (found.requests, found.throttled) == (1, 1)


def test_the_doors_measure(seller, process):
    seller.send(event(1))
    process.tell()
    assert latency_of(seller.tenant.pk, minute=now()).requests == 1


def test_nobody_waits_for_a_redis_that_is_away(process, redis_down):
    process.note(uuid4(), 0.1)
    process.tell()
    assert latency_of(uuid4(), minute=now()).requests == 0
