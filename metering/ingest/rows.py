"""Usage events as rows: the text that COPY takes, and the bytes that are hashed, from one place.

Written out flat on purpose: these lines run once per event and are a third of the drain's Python.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from aforo.money import plain
from metering import proof
from metering.ingest.arrivals import Arrival

COLUMNS = (
    "tenant_id, customer_id, subscription_id, plan_version_id, unit_id, running_total_id,"
    ' "position", idempotency_key, metric, quantity, revenue, cost, occurred_at, late,'
    " product_type, session_id, agent_id, tool_name, trace_id, metadata, batch_index,"
    " received_at, source, batch_id, digest"
)
TakeRows = Callable[[Sequence[str]], None]  # whoever writes the rows, while they are made
NULL = r"\N"
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}


def escape(text: str) -> str:
    """`text` as COPY's text format spells it."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text) if _SPECIAL.search(text) else text


class RowMaker:
    """Rows of one total's events, in order; keeps the chain of their digests."""

    __slots__ = (
        "_context",
        "_only_product_type",
        "_only_product_type_columns",
        "_prefix",
        "_product_type",
        "chain",
        "total_id",
    )

    def __init__(
        self,
        columns: str,
        hashed_context: tuple[str, ...],
        total_id: int,
        secret: bytes,
        *,
        product_type: str = "",
    ) -> None:
        self.chain = proof.Chain(proof.total_key(secret, total_id))
        self.total_id = total_id
        self._prefix = f"{columns}\t{total_id}\t"
        self._context = hashed_context
        # Of events that name no product type, and of those that name nothing else either.
        self._product_type = product_type or None
        self._only_product_type = (self._product_type, None, None, None, None)
        self._only_product_type_columns = _columns(self._only_product_type)

    def priced(self, arrival: Arrival, position: int, revenue: Decimal, cost: Decimal) -> str:
        """The row of the event at `position`, which this appends to the chain."""
        event, batch = arrival.event, arrival.batch
        quantity, revenue_text = arrival.quantity_text, plain(revenue)
        cost_text = plain(cost) if cost else "0"
        key, metric, metadata = arrival.key, event.metricName, arrival.metadata
        texts = product, session, agent, tool, trace = (
            event.productType or self._product_type,
            event.sessionId,
            event.agentId,
            event.toolName,
            event.traceId,
        )
        late = arrival.occurred < batch.late_before
        version, subscription, customer, unit = self._context
        # Each by its own name: unpacking into the tuple would take 0.3 us more.
        hashed = (
            self.total_id, position, version, subscription, customer, unit, metric, key, quantity,
            revenue_text, cost_text, proof.microseconds(arrival.occurred),
            batch.received_microseconds, late, product, session, agent, tool, trace, metadata,
            batch.source, batch.batch_text, arrival.index,
        )  # fmt: skip
        digest = self.chain.append(proof.canonical(hashed))
        only_product_type = texts == self._only_product_type
        columns = self._only_product_type_columns if only_product_type else _columns(texts)
        if not batch.is_plain:
            key, metric, metadata = escape(key), escape(metric), metadata and escape(metadata)
        return (
            f"{self._prefix}{position}\t{key}\t{metric}\t{quantity}\t{revenue_text}\t{cost_text}\t"
            f"{arrival.occurred_text}\t{'ft'[late]}\t{columns}\t{metadata or NULL}\t"
            f"{arrival.index}\t{batch.columns}\t\\\\x{digest.hex()}\n"
        )


def unbilled(columns: str, arrival: Arrival, product_type: str) -> str:
    """The row of an event that no price applies to: kept, but in no chain and at no price."""
    event, batch, metadata = arrival.event, arrival.batch, arrival.metadata
    product = event.productType or product_type or None
    texts = (product, event.sessionId, event.agentId, event.toolName, event.traceId)
    late = arrival.occurred < batch.late_before
    return (
        f"{columns}\t{NULL}\t{NULL}\t{escape(arrival.key)}\t{escape(event.metricName)}\t"
        f"{arrival.quantity_text}\t0\t0\t{arrival.occurred_text}\t{'ft'[late]}\t"
        f"{_columns(texts)}\t{NULL if metadata is None else escape(metadata)}\t"
        f"{arrival.index}\t{batch.columns}\t{NULL}\n"
    )


def _columns(texts: tuple[str | None, ...]) -> str:
    return "\t".join(NULL if text is None else escape(text) for text in texts)
