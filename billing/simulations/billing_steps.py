"""What Beat and workers do once a clock has moved, done at once: bill runs from start to end."""

from contextlib import suppress
from datetime import timedelta

from aforo.errors import Conflict, Refused
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun
from billing.selectors.thresholds import subscriptions_over_threshold
from billing.services.bill_pages import bill_page
from billing.services.bill_runs import advance_run, create_run, execute_run
from billing.services.grace import due_drafts, issue_page
from billing.services.progress import invoice_now
from billing.simulations.world import World
from catalog.models import Subscription

_ACTOR = Actor.system("simulation")
_AGES = timedelta(days=365 * 50)


def bill_everything(world: World, *, finalize: bool) -> BillRun:
    """Bill whatever has ended by now, as a run over all time does."""
    now = world.now
    run = create_run(
        tenant=world.tenant,
        window_start=now - _AGES,
        window_end=now,
        auto_finalize=finalize,
        actor=_ACTOR,
        now=now,
    )
    execute_run(run=run, actor=_ACTOR, now=now)
    advance_run(run_id=run.id, now=now, look_again=False)
    page = 0
    while BillRun.objects.for_tenant(world.tenant).get(pk=run.pk).status == BillRun.Status.RUNNING:
        bill_page(run_id=run.id, page=page, now=now)
        page += 1
    return run


def bill_by_the_clock(world: World) -> None:
    """Issue drafts whose days of grace are over, and usage that is worth its threshold."""
    while issue_page(due_drafts(world.tenant, world.now), now=world.now):
        pass
    over = set(subscriptions_over_threshold(world.tenant, world.now))
    rows = Subscription.objects.for_tenant(world.tenant).filter(pk__in=over)
    for subscription in rows.order_by("customer__external_id", "pk"):
        with suppress(Conflict, Refused):  # as by Beat: discounts may take all that is over it
            invoice_now(subscription=subscription, actor=_ACTOR, now=world.now)
