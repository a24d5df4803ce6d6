"""Usage events as rows: the text that COPY takes, and the bytes that are hashed, from one place."""

import re
from decimal import Decimal

from aforo.money import plain
from metering import proof
from metering.ingest.arrivals import Arrival
from metering.ingest.targets import Target, Unbilled

COLUMNS = (
    "tenant_id, customer_id, subscription_id, plan_version_id, unit_id, running_total_id,"
    ' "position", idempotency_key, metric, quantity, revenue, cost, occurred_at, late,'
    " product_type, session_id, agent_id, tool_name, trace_id, metadata, batch_index,"
    " received_at, source, batch_id, digest"
)
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
NULL = r"\N"
_NO_TEXTS = "\t".join([NULL] * 5)


def escape(text: str | None) -> str:
    """`text` as COPY's text format spells it."""
    if text is None:
        return NULL
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text) if _SPECIAL.search(text) else text


class RowMaker:
    """Rows of one total's events, in order; keeps the chain of their digests."""

    __slots__ = ("_chain", "_context", "_prefix")

    def __init__(self, target: Target, total_id: int, chain: proof.Chain) -> None:
        self._chain = chain
        self._prefix = f"{target.columns}\t{total_id}\t"
        self._context = (
            total_id,
            str(target.version_id),
            str(target.subscription_id),
            str(target.customer_id),
            str(target.unit.unit_id),
        )

    def priced(self, arrival: Arrival, position: int, revenue: Decimal, cost: Decimal) -> str:
        """The row of the event at `position`, which this appends to the chain."""
        event, batch = arrival.event, arrival.batch
        total_id, version, subscription, customer, unit = self._context
        quantity, revenue_text, cost_text = plain(event.quantity), plain(revenue), plain(cost)
        metadata = event.metadata_text()
        late = arrival.occurred < batch.late_before
        digest = self._chain.append(
            proof.canonical(
                (
                    total_id,
                    position,
                    version,
                    subscription,
                    customer,
                    unit,
                    event.metricName,
                    arrival.key,
                    quantity,
                    revenue_text,
                    cost_text,
                    proof.microseconds(arrival.occurred),
                    batch.received_microseconds,
                    late,
                    event.productType,
                    event.sessionId,
                    event.agentId,
                    event.toolName,
                    event.traceId,
                    metadata,
                    batch.source,
                    batch.batch_text,
                    arrival.index,
                )
            )
        )
        return (
            f"{self._prefix}{position}\t{_tail(arrival, quantity, revenue_text, cost_text, late)}"
            f"{escape(metadata)}\t{arrival.index}\t{batch.columns}\t\\\\x{digest.hex()}\n"
        )


def unbilled(target: Unbilled, arrival: Arrival) -> str:
    """The row of an event that no price applies to: kept, but in no chain and at no price."""
    batch = arrival.batch
    late = arrival.occurred < batch.late_before
    return (
        f"{target.columns}\t{NULL}\t{NULL}\t"
        f"{_tail(arrival, plain(arrival.event.quantity), '0', '0', late)}"
        f"{escape(arrival.event.metadata_text())}\t{arrival.index}\t{batch.columns}\t{NULL}\n"
    )


def _tail(arrival: Arrival, quantity: str, revenue: str, cost: str, late: bool) -> str:
    event = arrival.event
    texts = (event.productType, event.sessionId, event.agentId, event.toolName, event.traceId)
    optional = _NO_TEXTS if texts == (None,) * 5 else "\t".join(map(escape, texts))
    return (
        f"{escape(arrival.key)}\t{escape(event.metricName)}\t{quantity}\t{revenue}\t{cost}\t"
        f"{arrival.occurred.isoformat()}\t{'t' if late else 'f'}\t{optional}\t"
    )
