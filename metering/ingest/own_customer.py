"""Keys that were given out for a subscription: they bring usage of its customer, and no other.

The door judges by the names as they stand, to answer at once; the drain, which resolves them for
good, has the last word.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from aforo.errors import AforoError, Forbidden, Refused
from catalog.selectors.customer_names import customers_by_name
from metering.ingest.events import HEARTBEAT, Event, Refusal
from metering.ingest.gates import is_name
from metering.ingest.routing import shown

CODE = "OTHER_CUSTOMER"


def refusal(name: str) -> Refusal:
    """Why an event that names somebody else is refused; whether they exist is not told."""
    detail = f"this key was given out for one customer, and customerId {shown(name)} is another"
    return Refusal("OTHER_CUSTOMER", detail)


def may_bring(event: Event, *, own: UUID, found: UUID | None) -> bool:
    """Whether a key of the customer `own` may bring an event of the one that was found for it.

    A heartbeat that names nobody is usage of nobody.
    """
    return found == own or (found is None and event.metricName == HEARTBEAT)


def others_among(
    arrivals: Sequence[Event | Refusal], tenant_id: UUID, own: UUID | None
) -> dict[int, Refusal]:
    """By index, the events that a key of the customer `own` must not bring; none for other keys."""
    if own is None:
        return {}
    named = {
        at: one
        for at, one in enumerate(arrivals)
        if isinstance(one, Event) and is_name(one.customerId)  # else a gate says what is wrong
    }
    customers = _customers_of(named, tenant_id)
    return {
        at: refusal(event.customerId)
        for at, event in named.items()
        if not may_bring(event, own=own, found=customers.get(at))
    }


def _customers_of(named: Mapping[int, Event], tenant_id: UUID) -> dict[int, UUID]:
    """Whose each event is, as a drain finds it: by its customerId, else by its agent."""
    known = _known({one.customerId for one in named.values()}, tenant_id)
    strangers = [one for one in named.values() if one.customerId not in known]
    known |= _known({one.agentId for one in strangers if one.agentId}, tenant_id)
    found = {
        at: known.get(one.customerId) or known.get(one.agentId or "") for at, one in named.items()
    }
    return {at: customer[0] for at, customer in found.items() if customer is not None}


def _known(names: set[str], tenant_id: UUID) -> dict[str, tuple[UUID, str]]:
    names = set(filter(is_name, names))
    return customers_by_name(tenant_id, names) if names else {}


def answer_of(refused: Mapping[int, Refusal]) -> AforoError:
    """What a request is answered of which nothing passes: 403 if all of it is of others."""
    first = refused[min(refused)]
    kind = Forbidden if all(why.code == CODE for why in refused.values()) else Refused
    return kind(first.detail, code=first.code)
