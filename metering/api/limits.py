"""The limits of the doors: a key's events a minute, and the room that is left in the inbox."""

from django.http import HttpResponse

from aforo.api.rates import RATES
from metering.ingest.backlog import BACKLOG
from metering.ingest.known import KnownKey


def require_room(key: KnownKey) -> None:
    """Raise TooMany (429) before anything is read: nothing of a refused request is kept."""
    BACKLOG.require_room(key.tenant_id)
    RATES.require(key.id, key.rate_limit)


def count(key: KnownKey, events: int) -> None:
    """Count what a request brought, whatever becomes of it."""
    RATES.add(key.id, key.rate_limit, events)


def told(response: HttpResponse, key: KnownKey) -> HttpResponse:
    """Any answer to a key that was recognised; a limited one hears where it stands."""
    rate = RATES.rate_of(key.id, key.rate_limit)
    if rate is not None:
        for name, value in rate.headers.items():
            response[name] = value
    return response
