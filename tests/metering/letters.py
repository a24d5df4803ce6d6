"""Dead letters for tests: refused events, and what the account of their tenant says."""

import msgspec

from aforo.tenancy.services.actors import Actor
from metering.ingest import enrichment
from metering.models import DeadLetter
from metering.selectors.accounts import account_of
from metering.services import letters
from tests.factories import BillableUnitFactory
from tests.metering.conftest import NOW, catalog_changed

ACTOR = Actor.system("an operator")


def the_letter(**fields):
    """The only letter that is open."""
    return DeadLetter.objects.get(status="OPEN", **fields)


def stored(letter):
    return msgspec.json.decode(bytes(letter.event))


def replay(letter, **more):
    return letters.replay_letter(letter=letter, actor=ACTOR, now=NOW, **more)


def edit(letter, event, **more):
    raw = event if isinstance(event, bytes) else msgspec.json.encode(event)
    return letters.edit_letter(letter=letter, event=raw, actor=ACTOR, now=NOW, **more)


def discard(letter, reason="never happened"):
    return letters.discard_letter(letter=letter, actor=ACTOR, now=NOW, reason=reason)


def assert_balanced(tenant, received=None):
    """Every event that was received is in exactly one place, at this moment."""
    account = account_of(tenant.pk)
    assert account.balances, account
    if received is not None:
        assert account.received == received, account
    return account


def define(tenant, name, **fields):
    """A billable unit that the tenant forgot; nothing prices it."""
    unit = BillableUnitFactory(tenant=tenant, name=name, **fields)
    catalog_changed(tenant)
    enrichment.forget_everything()
    return unit
