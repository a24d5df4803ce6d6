"""The limits of the doors: a key's events a minute, and the room that is left in the inbox."""

from django.http import HttpResponse

from aforo.api.rates import RATES
from metering.ingest.backlog import BACKLOG
from metering.ingest.known import KnownKey


def require_room(key: KnownKey) -> None:
    """Raise TooMany (429) before anything is read: nothing of a refused request is kept."""
    BACKLOG.require_room(key.tenant_id)
    RATES.require(key.id, key.rate_limit)


def counted(response: HttpResponse, key: KnownKey, events: int) -> HttpResponse:
    """The answer to a request that was let in; a limited key hears where it stands."""
    rate = RATES.add(key.id, key.rate_limit, events)
    if rate is not None:
        for name, value in rate.headers.items():
            response[name] = value
    return response
