"""What margin guards say of customers, where Redis holds something else than stored rows say."""

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec

from aforo import valkey
from metering.entitlements import state
from metering.entitlements.state import MARGIN, Field, MarginState, Version
from metering.margin.answers import UNHELD, stored_answers

_decoder = msgspec.json.Decoder(MarginState)


def margins_amiss(
    tenant_id: UUID, customers: Collection[str], version: Version
) -> Mapping[str, Field]:
    """By external id, what to write of whom Redis lets pass more, or less, than it should.

    Those who are in order keep what the last judgement has told: it knows numbers that no row
    has, of customers whom nobody ever held. `version` was read before.
    """
    found = _found(tenant_id, customers)  # first: what is found there has committed its rows
    said = stored_answers(tenant_id, customers)
    wanted = {customer: said.get(customer, UNHELD) for customer in customers}
    return {
        customer: Field(MARGIN, version, msgspec.json.encode(state_of_rows))
        for customer, state_of_rows in wanted.items()
        if _meaning(state_of_rows) != _meaning(found[customer])
    }


def _found(tenant_id: UUID, customers: Collection[str]) -> dict[str, MarginState | None]:
    pipeline = valkey.client().pipeline(transaction=False)
    for customer in customers:
        pipeline.hget(state.key_of(tenant_id, customer), MARGIN)
    return {
        customer: _read(value)
        for customer, value in zip(customers, pipeline.execute(), strict=True)
    }


def _read(value: bytes | None) -> MarginState | None:
    """Nothing was ever said of most; None is what nobody can read."""
    if value is None:
        return UNHELD
    try:
        return _decoder.decode(value.partition(b" ")[2])
    except msgspec.MsgspecError:
        return None


def _meaning(one: MarginState | None) -> object:
    """What requests hear of a state, without its numbers, which move all the time.

    Where everything passes nobody waits, however long the guard would let them.
    """
    if one is None:
        return None
    of_metrics = {metric: _meaning(worse) for metric, worse in one.by_metric.items()}
    rates = one.throttle_rate, one.requests_per_second
    waits = one.retry_after_seconds if one.level != UNHELD.level else None
    return one.level, rates, waits, of_metrics
