"""The clock of a sandbox."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from aforo.errors import Refused
from aforo.tenancy import clock
from aforo.tenancy.models import AuditEntry, Tenant
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.clocks import advance_clock, freeze_clock, unfreeze_clock
from tests.factories import SandboxFactory, TenantFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("test")
REAL = datetime(2026, 11, 21, 9, tzinfo=UTC)
PAST = datetime(2023, 11, 16, 18, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def real_time():
    with time_machine.travel(REAL, tick=False) as traveller:
        yield traveller


def frozen(at=PAST):
    return freeze_clock(tenant=SandboxFactory(), at=at, actor=ACTOR)


def test_a_frozen_clock_stands_while_real_time_passes(real_time):
    sandbox = frozen()

    real_time.shift(HOUR)

    assert clock.now(Tenant.objects.get(pk=sandbox.pk)) == PAST


def test_a_frozen_clock_is_moved_on_and_stays_frozen(real_time):
    sandbox = advance_clock(tenant=frozen(), to=PAST + HOUR, actor=ACTOR)

    real_time.shift(HOUR)

    assert clock.now(sandbox) == PAST + HOUR


def test_a_clock_that_is_let_go_runs_on_from_where_it_stood(real_time):
    sandbox = unfreeze_clock(tenant=frozen(), actor=ACTOR)

    real_time.shift(HOUR)

    assert clock.now(sandbox) == PAST + HOUR
    moved = advance_clock(tenant=sandbox, to=PAST + 2 * HOUR, actor=ACTOR)
    real_time.shift(HOUR)
    assert clock.now(moved) == PAST + 3 * HOUR


def test_a_running_clock_can_be_frozen_again_but_not_in_its_past():
    sandbox = unfreeze_clock(tenant=frozen(), actor=ACTOR)

    with pytest.raises(Refused):
        freeze_clock(tenant=sandbox, at=PAST - HOUR, actor=ACTOR)
    assert clock.now(freeze_clock(tenant=sandbox, at=PAST + HOUR, actor=ACTOR)) == PAST + HOUR


def test_time_never_goes_back():
    sandbox = frozen()

    for move in (
        lambda: freeze_clock(tenant=sandbox, at=PAST - HOUR, actor=ACTOR),
        lambda: advance_clock(tenant=sandbox, to=PAST - HOUR, actor=ACTOR),
        lambda: advance_clock(tenant=SandboxFactory(), to=REAL - HOUR, actor=ACTOR),
    ):
        with pytest.raises(Refused):
            move()
    assert clock.now(Tenant.objects.get(pk=sandbox.pk)) == PAST


@pytest.mark.parametrize(
    "at",
    [datetime(1999, 12, 31, tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(2026, 1, 1)],  # noqa: DTZ001  # it is about that
)
def test_a_time_no_clock_can_show_is_refused(at):
    with pytest.raises(Refused):
        freeze_clock(tenant=SandboxFactory(), at=at, actor=ACTOR)


def test_a_live_tenant_has_everybodys_time():
    live = TenantFactory()

    for move in (
        lambda: freeze_clock(tenant=live, at=REAL, actor=ACTOR),
        lambda: advance_clock(tenant=live, to=REAL + HOUR, actor=ACTOR),
        lambda: unfreeze_clock(tenant=live, actor=ACTOR),
    ):
        with pytest.raises(Refused):
            move()
    assert clock.now(live) == REAL


def test_who_moved_the_clock_is_on_record():
    advance_clock(tenant=frozen(), to=PAST + HOUR, actor=ACTOR)

    last = AuditEntry.objects.get(action="CLOCK_ADVANCED")
    assert last.changes == {"now": {"before": PAST.isoformat(), "after": (PAST + HOUR).isoformat()}}


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_move_the_clock_at_once_none_turns_it_back():
    sandbox = frozen()

    def move(index):
        try:
            advance_clock(tenant=sandbox, to=PAST + index * HOUR, actor=ACTOR)
        except Refused:
            return None
        return index

    moved = [index for index in in_threads(8, move) if index is not None]

    assert (
        clock.now(Tenant.objects.get(pk=sandbox.pk)) == PAST + max(moved) * HOUR == PAST + 7 * HOUR
    )
