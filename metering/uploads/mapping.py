"""Which column becomes which field of an event: as told, else by the names that columns go by."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from aforo.errors import FieldError, Refused
from metering.ingest.events import Refusal, fields_of
from metering.uploads.rows import Row

# Names that columns go by, without case and signs; earlier ones are preferred.
NAMES: dict[str, tuple[str, ...]] = {
    "customerId": ("customerid", "customer", "customerexternalid", "externalcustomerid"),
    "metricName": ("metricname", "metric", "metrickey", "metricid", "eventname"),
    "quantity": ("quantity", "qty", "value", "units", "usage"),
    "occurredAt": ("occurredat", "eventtimestamp", "timestamp", "eventtime", "datetime", "time"),
    "idempotencyKey": ("idempotencykey", "eventid", "transactionid", "requestid"),
    "productType": ("producttype",),
    "sessionId": ("sessionid",),
    "agentId": ("agentid",),
    "toolName": ("toolname",),
    "traceId": ("traceid",),
    "metadata": ("metadata",),
}
TARGETS = tuple(NAMES)
MOST_PLANS = 1_000  # of rows with other columns each: beyond this their plans are made anew
_NOT_NAMED = re.compile(r"[^a-z0-9]")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,9})?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NULL = msgspec.Raw(b"null")
_encoder = msgspec.json.Encoder()


class Plan(NamedTuple):
    """What becomes of the columns of one kind of row."""

    fields: tuple[tuple[str, str], ...]  # column and target
    others: tuple[str, ...]  # columns that go into the metadata


class ColumnMapping:
    """How rows of one file become events. The same row becomes the same event each time.

    `told` names a column for a target; "" says that no column gives it, and for the quantity
    that each row counts 1. `file_digest` makes the key of a row that brings none.
    """

    def __init__(
        self,
        told: Mapping[str, str],
        *,
        default_metric: str = "",
        default_customer: str = "",
        file_digest: str = "",
    ) -> None:
        unknown = sorted(told.keys() - NAMES.keys())
        if unknown:
            _refuse(unknown[0], f"there is no field {unknown[0]!r} of an event to map a column to")
        self._told = dict(told)
        self._default_metric = default_metric
        self._default_customer = default_customer
        self._counts_rows = told.get("quantity") == ""
        self._key = f"file:{file_digest}"
        self._plans: dict[tuple[str, ...], Plan] = {}

    def plan(self, columns: Sequence[str]) -> Plan:
        """What becomes of rows with these columns."""
        taken: dict[str, str] = {}
        for target in TARGETS:
            column = self._column_of(target, columns)
            if column and column not in taken:
                taken[column] = target
        others = (column for column in columns if column and column not in taken)
        return Plan(tuple(taken.items()), tuple(others))

    def require(self, columns: Sequence[str]) -> None:
        """Raise Refused when a column that was told is not there, or nothing gives a field."""
        for target, column in self._told.items():
            if column and column not in columns:
                _refuse(target, f"the file has no column {column!r} to take {target} from")
        given = {target for _, target in self.plan(columns).fields}
        if self._default_customer:
            given.add("customerId")
        if self._default_metric:
            given.add("metricName")
        if self._counts_rows:
            given.add("quantity")
        for target in ("customerId", "metricName", "quantity"):
            if target not in given:
                _refuse(target, f"no column of the file gives {target}: map one")

    def event(self, row: Row, number: int) -> bytes:
        """The JSON of the event that row `number`, from 1, is: good or bad, the gates say."""
        columns = tuple(row)
        plan = self._plans.get(columns)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[columns] = self.plan(columns)
        event: Row = {}
        for column, target in plan.fields:
            value = row[column]
            if type(value) is str:  # of CSV: each step here is done for every cell of a year
                spell = _CELLS.get(target)
                value = spell(value) if spell is not None else value.strip()
                if value:
                    event[target] = value
            elif value != _NULL:
                event[target] = value
        self._complete(event, number)
        more = {name: row[name] for name in plan.others if row[name] and row[name] != _NULL}
        if more:
            _add_metadata(event, more)
        return _encoder.encode(event)

    def _column_of(self, target: str, columns: Sequence[str]) -> str:
        """The column that gives `target`: the one that was told, else one by its name."""
        if target in self._told:
            return self._told[target]
        free = [column for column in columns if column not in self._told.values()]
        names = [_NOT_NAMED.sub("", column.lower()) for column in free]
        return next((free[names.index(name)] for name in NAMES[target] if name in names), "")

    def _complete(self, event: Row, number: int) -> None:
        """What the row does not say itself."""
        if self._default_metric and "metricName" not in event:
            event["metricName"] = self._default_metric
        if self._default_customer and "customerId" not in event:
            event["customerId"] = self._default_customer
        if self._counts_rows:
            event["quantity"] = 1
        if "idempotencyKey" not in event:
            event["idempotencyKey"] = self._made_key(event.get("metricName", ""), number)

    def _made_key(self, metric: object, number: int) -> str:
        """One per row, metric and content of the file: the same file twice counts once.

        The metric is part of it, because one file may be read several times, each time for
        another column's quantity.
        """
        name = bytes(metric).decode().strip('"') if isinstance(metric, msgspec.Raw) else metric
        return f"{self._key}:{number}:{name}"


def _moment(cell: str) -> object:
    """A time as events spell it: milliseconds are a number, a bare day is its midnight in UTC."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return msgspec.Raw(text.encode())
    return f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text


def _object(cell: str) -> object:
    """A cell that holds a JSON object; other text stays as it is, and is refused as metadata."""
    fields = fields_of(cell.encode()) if cell.strip() else ""
    return cell if isinstance(fields, Refusal) else fields


_CELLS = {"occurredAt": _moment, "metadata": _object}


def _add_metadata(event: Row, more: Row) -> None:
    """Columns without a field of their own, unless the metadata has one of that name."""
    own = event.get("metadata", {})
    if isinstance(own, msgspec.Raw):
        fields = fields_of(own)
        own = own if isinstance(fields, Refusal) else fields
    if isinstance(own, dict):  # metadata of another shape is refused at its gate
        event["metadata"] = more | own


def _refuse(field: str, message: str) -> None:
    error = FieldError(f"mapping.{field}", "INVALID", message)
    raise Refused(message, code="UNUSABLE_MAPPING", errors=(error,))
