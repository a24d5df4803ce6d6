"""One run of the probe: a tenant of its own, a key for this run, traffic, the books."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from aforo.demo.seed import seed
from aforo.periods import add_months, month_start
from aforo.probe.sender import Client, sending
from aforo.probe.traffic import EVENTS_OF_A_BATCH, Stream
from aforo.probe.verdict import Books, Verdict, judge
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import issue_key, revoke_key
from aforo.tenancy.services.tenants import change_settings
from metering.models import InboxBatch

SELLER = "Aforo probe"
SANDBOX = "aforo-probe-sandbox"
NEVER = timedelta(days=3650)  # its periods are not billed: late events stay countable
_POLL_SECONDS = 0.2
_ACTOR = Actor.system("probe")


class ProbeFailed(Exception):
    """The run could not be finished; the message says why."""


def probe(
    *,
    url: str,
    seconds: float,
    rate: float,
    clients: int,
    patience: float,
    report: Callable[[str], None],
    progress: Callable[[str], None],
) -> Verdict:
    """Send about `rate` events a second for so long, wait until all are counted, and judge.

    `patience` is how long, in seconds, an answer and the drain may take: servers may be away.
    `report` is told each step, `progress` how far the sending has come.
    """
    tenant = probe_tenant(now=timezone.now())
    run = secrets.token_hex(4)
    _wait_until_drained(tenant, patience)
    before = Books.of(tenant)
    with _own_key(tenant, run) as key:
        senders = [
            Client(
                url,
                key,
                Stream(run, number, timezone.now()),
                pause=clients * EVENTS_OF_A_BATCH / rate,
                patience=patience,
            )
            for number in range(clients)
        ]
        report(f"sending for {seconds:.0f} s")
        with sending(senders):
            _watch(senders, seconds, progress)
        report("waiting until all is counted")
        _wait_until_drained(tenant, patience)
        report("reading the books")
        return judge(tenant, run, before, senders)


def probe_tenant(*, now: datetime) -> Tenant:
    """The sandbox that every run uses; made by the first."""
    tenant = Tenant.objects.filter(slug=SANDBOX).first()
    if tenant is not None:
        return tenant
    start = add_months(month_start(now), -1)
    tenant = seed(start=start, now=now, name=SELLER).sandbox
    return change_settings(
        tenant=tenant, settings={"settlement_delay": NEVER}, actor=_ACTOR, now=now
    )


@contextmanager
def _own_key(tenant: Tenant, run: str) -> Iterator[str]:
    """A metering key that opens nothing any more once the run is over."""
    now = timezone.now()
    key, text = issue_key(
        tenant=tenant, kind=ApiKey.Kind.METERING, name=f"probe {run}", actor=_ACTOR, now=now
    )
    try:
        yield text
    finally:
        revoke_key(key=key, actor=_ACTOR, now=timezone.now(), reason="the run is over")


def _watch(senders: list[Client], seconds: float, progress: Callable[[str], None]) -> None:
    """Until the time is up or a client gives up."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0 and not any(one.failure for one in senders):
        sent = EVENTS_OF_A_BATCH * sum(one.acknowledged.batches for one in senders)
        retries = sum(one.acknowledged.retries for one in senders)
        progress(f"{sent:,} events answered, {retries} tries again, {left:.0f} s to go")
        time.sleep(min(1.0, left))


def _wait_until_drained(tenant: Tenant, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if not InboxBatch.objects.filter(tenant_id=tenant.pk).exists():  # any tenant: by id
                return
        except (OperationalError, InterfaceError):
            close_old_connections()  # the database is away for a moment
        time.sleep(_POLL_SECONDS)
    raise ProbeFailed(f"after {patience:.0f} s there are still events that nobody has counted")
