"""Why an event is not counted: every code there is, what it means, and what mends it.

The codes are part of the API and never change their meaning. `docs/metering.md` shows this table.
"""

from typing import NamedTuple


class Reason(NamedTuple):
    """One code, who says it, and what an operator reads of it."""

    code: str
    said_by: str
    means: str
    mend: str
    is_replayable: bool = True


_ALL = (
    Reason(
        "INVALID_EVENT",
        "door, drain",
        "a field is missing, of the wrong type, empty, too long, nested too deep, or holds a nul",
        "mend the sender; edit the letter, then replay it",
    ),
    Reason(
        "INVALID_QUANTITY",
        "door",
        "not finite, negative, or too many digits",
        "mend the sender; edit the letter, then replay it",
    ),
    Reason(
        "INVALID_TIMESTAMP",
        "door",
        "no calendar holds that time",
        "mend the sender; edit the letter, then replay it",
    ),
    Reason(
        "TIMESTAMP_IN_FUTURE",
        "door",
        "more than 5 minutes after the tenant's clock",
        "mend the sender's clock; edit the letter, then replay it",
    ),
    Reason(
        "TIMESTAMP_TOO_OLD",
        "door",
        "more than 90 days before the tenant's clock",
        "edit the letter if its time is wrong, else discard it",
    ),
    Reason(
        "UNKNOWN_METRIC",
        "door, drain",
        "no billable unit counts that metric",
        "create the unit, price it if it is to be billed, then replay",
    ),
    Reason(
        "COMPOUND_REFUSED",
        "door",
        "another measurement of its compound was refused, and a compound counts as a whole",
        "mend the other measurement, then replay both",
    ),
    Reason(
        "UNKNOWN_CUSTOMER",
        "drain",
        "no customer, id or alias of that name",
        "create the customer or the alias, then replay",
    ),
    Reason(
        "OTHER_CUSTOMER",
        "door, drain",
        "it came with the key of a subscription, and is not of the customer of that key",
        "send it with its customer's or a tenant's key; it cannot be replayed, only discarded",
        is_replayable=False,
    ),
    Reason(
        "NO_SUBSCRIPTION",
        "drain",
        "the customer has no subscription in force at that time",
        "subscribe them from an earlier date, then replay",
    ),
    Reason(
        "SUBSCRIPTION_PAUSED",
        "drain",
        "the customer's subscription was paused at that time: it counts nothing",
        "discard it, or let it occur after the subscription was resumed; then replay it",
    ),
    Reason(
        "MISSING_FIELD",
        "drain",
        "a unit counts distinct values of a field, or prices by one, that the event does not have",
        "mend the sender; edit the letter, then replay it",
    ),
    Reason(
        "IDEMPOTENCY_CONFLICT",
        "drain",
        "the key was used for an event with other content",
        "one key per event: edit the key, then replay, or discard the letter",
    ),
    Reason(
        "UNPRICEABLE",
        "drain",
        "the terms in the plan version contradict themselves",
        "report it, since terms are checked when a version is published; then replay",
    ),
    Reason(
        "UNPROCESSABLE",
        "drain",
        "counting this event failed, so it was set aside",
        "look into the worker's log: `event_set_aside`; replay once its cause is mended",
    ),
    Reason(
        "UNREADABLE_BATCH",
        "drain",
        "the stored body cannot be opened any more; one letter stands for all its events",
        "look into the worker's log: `batch_written_off`; it cannot be replayed, only discarded",
        is_replayable=False,
    ),
)
REASONS = {reason.code: reason for reason in _ALL}
NOT_REPLAYABLE = tuple(reason.code for reason in _ALL if not reason.is_replayable)


def mend_for(code: str) -> str:
    """What helps against a code, in a sentence; empty for one that no release knows any more."""
    reason = REASONS.get(code)
    return reason.mend if reason else ""
