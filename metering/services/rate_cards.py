"""Rate cards: written when a provider names a price, ended when it names another."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from psycopg import errors

from aforo.errors import Conflict
from aforo.money import ZERO
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import BillableUnit
from catalog.pricing.dimensions import dimension_of
from catalog.services import changes
from metering.models import RateCard

MOST_KEYS = 4
_SHOWN = ("provider", "dimension", "unit_price", "currency", "valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class CardDraft:
    """A card as somebody states it; `dimensions` are metadata keys and the values they have."""

    provider: str
    unit_price: Decimal
    currency: str
    valid_from: datetime
    valid_until: datetime | None = None
    dimensions: Mapping[str, str] | None = None


@transaction.atomic
def add_card(
    *, tenant: Tenant, unit: BillableUnit, draft: CardDraft, actor: Actor, now: datetime
) -> RateCard:
    """A new price; an open card for the same, begun earlier, ends where this one begins.

    Usage that has been counted keeps its cost. Raises Conflict where two would hold at once.
    """
    changes.require_own(tenant, unit)
    changes.require_currency(draft.currency)
    card = RateCard(
        tenant=tenant,
        unit=unit,
        provider=draft.provider,
        dimension=_dimension(draft.dimensions or {}),
        unit_price=draft.unit_price,
        currency=draft.currency,
        valid_from=draft.valid_from,
        valid_until=draft.valid_until,
        created_at=now,
    )
    _require_sound(card)
    for open_card in _open_before(card):
        end_card(card=open_card, valid_until=card.valid_from, actor=actor, now=now)
    with _one_at_a_time():
        card.save(force_insert=True)
    after = changes.state_of(card, _SHOWN) | {"unit": unit.name}
    changes.record(card, action="RATE_CARD_ADDED", actor=actor, now=now, after=after)
    return card


@transaction.atomic
def end_card(
    *, card: RateCard, valid_until: datetime | None, actor: Actor, now: datetime
) -> RateCard:
    """Say anew until when a card holds (exclusive; None: for good). Again changes nothing."""
    locked = _locked(card)
    before = {"valid_until": locked.valid_until}
    if before["valid_until"] != valid_until:
        locked.valid_until = valid_until
        _require_sound(locked)
        with _one_at_a_time():
            locked.save(update_fields=["valid_until"])
        after = {"valid_until": valid_until}
        changes.record(
            locked, action="RATE_CARD_ENDED", actor=actor, now=now, before=before, after=after
        )
    return locked


@transaction.atomic
def delete_card(*, card: RateCard, actor: Actor, now: datetime) -> None:
    """Take back a card that has not begun yet: one that has may have made costs."""
    locked = _locked(card)
    if locked.valid_from <= now:
        raise Conflict(f"the card of {locked.provider} holds already: end it instead")
    before = changes.state_of(locked, _SHOWN)
    changes.record(locked, action="RATE_CARD_DELETED", actor=actor, now=now, before=before)
    locked.delete()


def _dimension(dimensions: Mapping[str, str]) -> str:
    if len(dimensions) > MOST_KEYS or not all(dimensions):
        reason = f"has at most {MOST_KEYS} keys, and none is empty"
        raise changes.refused("dimensions", "INVALID", reason)
    return dimension_of(sorted(dimensions), dimensions)


def _require_sound(card: RateCard) -> None:
    changes.require_valid(card)
    if card.unit_price < ZERO:
        raise changes.refused("unitPrice", "INVALID", "must not be negative")
    if card.valid_until is not None and card.valid_until <= card.valid_from:
        raise changes.refused("validUntil", "INVALID", "must come after validFrom")


def _open_before(card: RateCard) -> Iterator[RateCard]:
    rows = RateCard.objects.for_tenant(card.tenant_id).filter(
        unit=card.unit,
        currency=card.currency,
        dimension=card.dimension,
        valid_until=None,
        valid_from__lt=card.valid_from,
    )
    yield from rows.select_for_update(no_key=True, of=("self",)).order_by("pk")


def _locked(card: RateCard) -> RateCard:
    rows = RateCard.objects.for_tenant(card.tenant_id).select_for_update(no_key=True)
    locked: RateCard = rows.get(pk=card.pk)
    return locked


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if isinstance(error.__cause__, errors.ExclusionViolation):
            detail = "another card for the same unit, dimensions and currency holds at that time"
            raise Conflict(detail) from error
        raise
