"""Proves an audit export with the standard library alone (Python 3.9 or later).

    python3 -I -S verify.py [folder, by default the one this file is in]

It replays every event: hash, chain, quantity, price; then lines, digest and sums of the invoice.
It says OK and exits with 0, or names what is wrong first, `file, line, field: why`, and exits 1.
Read README.txt for what that proves, and compare the digest it prints with the one on the paper.
"""

from __future__ import annotations

import decimal
import hashlib
import hmac
import json
import sys
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

COLUMNS = [
    "running_total_id", "position", "plan_version_id", "subscription_id", "customer_id", "unit_id",
    "metric", "idempotency_key", "quantity", "revenue", "cost", "occurred_at", "received_at",
    "late", "product_type", "session_id", "agent_id", "tool_name", "trace_id", "metadata",
    "source", "batch_id", "batch_index",
]  # fmt: skip
ZERO, ONE, HUNDRED = Decimal(0), Decimal(1), Decimal(100)
EXACT = decimal.Context(
    prec=100,
    rounding=ROUND_HALF_EVEN,
    traps=[decimal.Inexact, decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
WIDE = decimal.Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[decimal.InvalidOperation])
SUMS = ("subtotal", "discountTotal", "taxTotal", "total")
TWELVE = ONE.scaleb(-12)
Row = dict[str, Any]
Parts = dict[Any, Decimal]
Place = tuple[str, int]  # file, line
Level = tuple[int, str, Decimal]  # occurred at, tie, quantity
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - Python 3.9 has no datetime.UTC


class Wrong(Exception):
    """Something that does not hold, and where."""

    def __init__(self, file: str, line: int, field: str, why: str) -> None:
        super().__init__(f"{file}, line {line}, {field}: {why}")


# --- Arithmetic: exact, but for the one division, which has 12 decimals --------------------------


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """HALF_EVEN to 12 decimals."""
    return WIDE.divide(dividend, divisor).quantize(TWELVE, context=WIDE)


def rounded(amount: Decimal, minor_units: int) -> Decimal:
    """HALF_EVEN to the currency's minor unit: how a line is rounded, once."""
    return amount.quantize(ONE.scaleb(-minor_units), ROUND_HALF_EVEN, WIDE)


def plain(number: Decimal) -> str:
    """The one spelling of a number: no exponent, no trailing zeros."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if number else "0"


# --- Prices: terms and usage in, an exact amount out ---------------------------------------------


class Usage:
    """What terms are asked about: a quantity, how many events, and some of what they said.

    `parts` are sums by what single events have in common, for the models that price those.
    """

    def __init__(
        self, quantity: Decimal = ZERO, count: int = 0, parts: Parts | None = None
    ) -> None:
        self.quantity, self.count, self.parts = quantity, count, parts or {}


def price(terms: Row, usage: Usage) -> Decimal:
    """What `usage` costs under `terms`, allowance included, before any rounding to money."""
    measured = Usage(measure(terms, usage.quantity), usage.count, usage.parts)
    amount: Decimal = MODELS[terms["model"]](terms, measured)
    return amount * number(terms, "multiplier", ONE)


def measure(terms: Row, quantity: Decimal) -> Decimal:
    """The quantity in the unit that is priced: divided, then rounded."""
    divide_by = number(terms, "divideBy", ONE)
    if divide_by != ONE:
        quantity = divide(quantity, divide_by)
    mode = terms.get("rounding")
    if not mode:
        return quantity
    modes = {"ROUND": ROUND_HALF_EVEN, "CEIL": ROUND_CEILING, "FLOOR": ROUND_FLOOR}
    return quantity.quantize(ONE.scaleb(-int(terms["roundingPlaces"])), modes[mode], WIDE)


def number(terms: Row, key: str, default: Decimal = ZERO) -> Decimal:
    value = terms.get(key)
    return default if value is None else Decimal(value)


def per_unit(terms: Row, usage: Usage) -> Decimal:
    return max(ZERO, usage.quantity - number(terms, "includedFree")) * number(terms, "rate")


def flat_rate(terms: Row, _: Usage) -> Decimal:
    return number(terms, "flatRate")


def included_quota(terms: Row, usage: Usage) -> Decimal:
    overage = usage.quantity - number(terms, "includedFree")
    if overage <= 0 or terms.get("ovBehavior", "CHARGE") != "CHARGE":
        return ZERO
    block = number(terms, "blockSize")
    if block:
        full, rest = EXACT.divmod(overage, block)
        overage = full + 1 if rest else full
    return overage * number(terms, "rate")


def graduated(terms: Row, usage: Usage) -> Decimal:
    """Each tier's units at that tier's price; a tier's flat fee once it is entered."""
    return _by_tiers(terms, usage.quantity, "unitPrice", ONE)


def graduated_percentage(terms: Row, usage: Usage) -> Decimal:
    return _by_tiers(terms, usage.quantity, "ratePercent", HUNDRED)


def _by_tiers(terms: Row, quantity: Decimal, rate: str, per: Decimal) -> Decimal:
    if quantity <= 0:
        return number(terms["tiers"][0], "flatFee") if terms.get("billZeroTier") else ZERO
    due, floor = ZERO, ZERO
    for tier in terms["tiers"]:
        if quantity <= floor:
            break
        end = _end(tier)
        top = quantity if end is None else min(quantity, end)
        due += (top - floor) * (number(tier, rate) / per) + number(tier, "flatFee")
        floor = top
        if end is None or quantity <= end:
            break
    return due


def volume_tiered(terms: Row, usage: Usage) -> Decimal:
    """All units at the price of the tier that the total falls in, and that tier's flat fee."""
    if usage.quantity <= 0:
        return number(terms["tiers"][0], "flatFee") if terms.get("billZeroTier") else ZERO
    tier = terms["tiers"][_band(terms["tiers"], usage.quantity)]
    return usage.quantity * number(tier, "unitPrice") + number(tier, "flatFee")


def stairstep(terms: Row, usage: Usage) -> Decimal:
    """The price of the step reached; above a last step that ends, its price and the excess."""
    if usage.quantity <= 0:
        return ZERO
    steps = terms["steps"]
    index = _band(steps, usage.quantity)
    if index < len(steps):
        return number(steps[index], "price")
    excess = usage.quantity - Decimal(steps[-1]["tierEnd"])
    return number(steps[-1], "price") + excess * number(terms, "overageRate")


def _band(bands: list[Row], quantity: Decimal) -> int:
    ends = [end for end in map(_end, bands) if end is not None]
    return bisect_left(ends, quantity)


def _end(band: Row) -> Decimal | None:
    end = band.get("tierEnd")
    return None if end is None or Decimal(end) == -1 else Decimal(end)


def percentage(terms: Row, usage: Usage) -> Decimal:
    """A share of the money, held within its fees, and a fee per transaction that is not free."""
    if _is_by_transaction(terms):
        return _each_transaction(terms, usage)
    share = number(terms, "ratePercent") / HUNDRED
    fee = max(ZERO, usage.quantity - number(terms, "freeAmount")) * share
    paid = max(0, usage.count - int(terms.get("freeTransactions") or 0))
    return _within(fee, terms, "minFee", "maxFee") + paid * number(terms, "fixedFee")


def _is_by_transaction(terms: Row) -> bool:
    return "minPerTransaction" in terms or "maxPerTransaction" in terms


def _each_transaction(terms: Row, usage: Usage) -> Decimal:
    """The shares of all events, each within its own limits, then within those of the period."""
    fees = _within(usage.parts.get("fees", ZERO), terms, "minFee", "maxFee")
    return fees + usage.count * number(terms, "fixedFee")


def _within(fee: Decimal, terms: Row, least: str, most: str) -> Decimal:
    if terms.get(least) is not None:
        fee = max(fee, Decimal(terms[least]))
    return fee if terms.get(most) is None else min(fee, Decimal(terms[most]))


def matrix(terms: Row, usage: Usage) -> Decimal:
    """The units of each cell at its rate."""
    cells = usage.parts.items()
    return sum((max(ZERO, units) * _rate_of(terms, cell) for cell, units in cells), ZERO)


def _rate_of(terms: Row, cell: int | None) -> Decimal:
    return number(terms, "defaultRate") if cell is None else Decimal(terms["cells"][cell]["rate"])


def _cell_of(terms: Row, fields: Row) -> int | None:
    """Of the cells that match, the one that names most values, and those of earlier dimensions."""
    keys = terms["dimensions"]
    values = [text_of(fields.get(key)) for key in keys]
    best, found = (-1, ()), None
    for index, cell in enumerate(terms["cells"]):
        named = [cell["values"][key] for key in keys]
        if all(name in ("*", value) for name, value in zip(named, values)):  # noqa: B905 - Python 3.9
            exact = tuple(name != "*" for name in named)
            if (sum(exact), exact) > best:
                best, found = (sum(exact), exact), index
    return found


def dynamic(terms: Row, usage: Usage) -> Decimal:
    """The amounts that events brought along, and the markup."""
    amount = max(ZERO, usage.parts.get("amounts", ZERO))
    return amount * (ONE + number(terms, "markupPercent") / HUNDRED)


def free(_: Row, __: Usage) -> Decimal:
    return ZERO


MODELS: dict[str, Any] = {
    "PER_UNIT": per_unit,
    "FLAT_RATE": flat_rate,
    "INCLUDED_QUOTA": included_quota,
    "GRADUATED": graduated,
    "GRADUATED_PERCENTAGE": graduated_percentage,
    "VOLUME_TIERED": volume_tiered,
    "STAIRSTEP": stairstep,
    "PERCENTAGE": percentage,
    "MATRIX": matrix,
    "DYNAMIC": dynamic,
    "FREE": free,
}


# --- Quantities: what the events of a period come to ---------------------------------------------


class Tally:
    """The usage of a running total as it stood at one position, from its events alone."""

    def __init__(self, entry: Row, terms: Row) -> None:
        self.kind, self.field = entry["unit"]["aggregation"], entry["unit"]["eventField"]
        self.terms, self.start, self.end = terms, entry["periodStart"], entry["periodEnd"]
        self.carried = Decimal(entry["carried"] or 0)
        self.seen = set(entry["carriedValues"])
        self.by_event = terms["model"] in ("MATRIX", "DYNAMIC") or _is_by_transaction(terms)
        self.count = 0
        self.sum = ZERO if self.kind in ("COUNT", "AVG") else self.carried
        self.parts: Parts = {}
        self.levels: list[Level] = []  # where their order in time matters

    def add(self, event: Row) -> None:
        quantity, step = Decimal(event["quantity"]), ZERO
        self.count += 1
        if self.kind == "COUNT":
            step = ONE
        elif self.kind in ("SUM", "AVG"):
            step = quantity
        elif self.kind == "MAX":
            step = max(ZERO, quantity - self.sum)
        elif self.kind == "UNIQUE":
            value = hashed_value(said(event).get(self.field))
            step = ZERO if value in self.seen else ONE
            self.seen.add(value)
        else:
            tie = hashlib.sha256(event["idempotency_key"].encode()).hexdigest()[:16]
            self.levels.append((event["occurred_at"], tie, quantity))
        self.sum += step
        if self.by_event:
            self._keep(event, measure(self.terms, step))

    def _keep(self, event: Row, units: Decimal) -> None:
        """What the models need that price events one by one."""
        terms = self.terms
        if terms["model"] == "MATRIX":
            self._gather(_cell_of(terms, said(event)), units)
        elif terms["model"] == "DYNAMIC":
            self._gather("amounts", Decimal(said(event)[terms["amountField"]]))
        else:
            share = max(ZERO, units) * number(terms, "ratePercent") / HUNDRED
            self._gather("fees", _within(share, terms, "minPerTransaction", "maxPerTransaction"))

    def _gather(self, key: Any, amount: Decimal) -> None:
        self.parts[key] = self.parts.get(key, ZERO) + amount

    @property
    def usage(self) -> Usage:
        return Usage(self.quantity, self.count, self.parts)

    @property
    def quantity(self) -> Decimal:
        if self.kind == "AVG":
            return divide(self.sum, Decimal(self.count)) if self.count else ZERO
        return LEVELS[self.kind](self) if self.kind in LEVELS else self.sum


def latest(tally: Tally) -> Decimal:
    """The quantity of the event that occurred last."""
    return max(tally.levels)[2] if tally.levels else tally.carried


def percentile_95(tally: Tally) -> Decimal:
    """The smallest quantity that 95 of 100 events do not exceed."""
    ordered = sorted(quantity for _, _, quantity in tally.levels)
    return ordered[(95 * len(ordered) + 99) // 100 - 1] if ordered else ZERO


def weighted_sum(tally: Tally) -> Decimal:
    """The level that each event sets, weighted by how long of the period it was held."""
    level, since, held = tally.carried, tally.start, ZERO
    for moment_, _, quantity in sorted(tally.levels):
        held += level * (moment_ - since)
        level, since = quantity, moment_
    held += level * (tally.end - since)
    return divide(held, Decimal(tally.end - tally.start)) if tally.levels else tally.carried


LEVELS: dict[str, Any] = {
    "LATEST": latest,
    "PERCENTILE_95": percentile_95,
    "WEIGHTED_SUM": weighted_sum,
}


def said(event: Row) -> Row:
    """What an event says of itself: its metadata, before its own fields of the same name."""
    own = {
        "metricName": event["metric"],
        "quantity": Decimal(event["quantity"]),
        "productType": event["product_type"],
        "sessionId": event["session_id"],
        "agentId": event["agent_id"],
        "toolName": event["tool_name"],
    }
    if event["metadata"]:
        own.update(json.loads(event["metadata"], parse_float=Decimal))
    return own


def text_of(value: object) -> str:
    """A value of a dimension as text: a number is the same as its text, 1 and 1.0 are one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (int, Decimal)):
        return _spelled_number(Decimal(value))
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=text_of
    )


def hashed_value(value: object) -> str:
    """BLAKE2b-128 of a value that is counted once."""
    if isinstance(value, (str, Decimal)):
        text = text_of(value)
    else:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _spelled_number(value: Decimal) -> str:
    if not value or abs(value.adjusted()) <= 40:  # noqa: PLR2004 - beyond, zeros would be longer
        return plain(value)
    return str(value.normalize(decimal.Context(prec=20_000)))


def dimension_of(line: Row, event: Row) -> str:
    """The values by which the event is grouped, as the line names them."""
    if not line["dimension"]:
        return ""
    fields = said(event)
    values = {key: text_of(fields.get(key)) for key in json.loads(line["dimension"])}
    for key, text in values.items():
        if len(text) > 120:  # noqa: PLR2004 - longer ones are cut, and told apart by a hash
            digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            values[key] = f"{text[:100]}~{digest}"
    return spelled(values)


# --- Files: read strictly, so that no byte can change unseen -------------------------------------


def _pairs(pairs: list[tuple[str, Any]]) -> Row:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice")
    return members


def parse(text: str) -> Any:
    """JSON in the one spelling that the export has: compact, names once, nothing else."""
    value = json.loads(text, object_pairs_hook=_pairs)
    if spelled(value) != text:
        raise ValueError("is not spelled as it was exported")
    return value


def spelled(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Folder:
    """The files of one invoice. Lists have an element, objects a member on each line."""

    def __init__(self, path: Path, prefix: str = "") -> None:
        self.path, self.prefix = path, prefix

    def name(self, file: str) -> str:
        return self.prefix + file

    def lines(self, file: str) -> Iterator[tuple[int, str]]:
        """(number, text) of each line; the last one too must end."""
        try:
            with (self.path / file).open("rb") as stream:
                for number_, raw in enumerate(stream, start=1):
                    if not raw.endswith(b"\n"):
                        raise Wrong(self.name(file), number_, "text", "the file breaks off")
                    try:
                        yield number_, raw[:-1].decode()
                    except ValueError as error:
                        raise Wrong(self.name(file), number_, "text", str(error)) from None
        except OSError as error:
            raise Wrong(self.name(file), 0, "file", f"cannot be read: {error.strerror}") from None

    def members(self, file: str, opening: str) -> Iterator[tuple[int, str]]:
        """(line number, text) of what stands between the brackets."""
        lines = list(self.lines(file))
        texts = [text for _, text in lines]
        closing = "]" if opening == "[" else "}"
        if len(texts) < 2 or texts[0] != opening or texts[-1] != closing:  # noqa: PLR2004 - the two brackets
            raise Wrong(self.name(file), 1, "text", f"is not in {opening} and {closing}")
        for number_, text in lines[1:-1]:
            comma = number_ < len(lines) - 1
            if text.endswith(",") != comma:
                raise Wrong(self.name(file), number_, "text", "has no comma, or one too many")
            yield number_, text[:-1] if comma else text

    def object(self, file: str) -> Row:
        found: Row = {}
        for number_, text in self.members(file, "{"):
            try:
                member = parse("{" + text + "}")
            except ValueError as error:
                raise Wrong(self.name(file), number_, "text", str(error)) from None
            if set(member) & set(found) or len(member) != 1:
                raise Wrong(self.name(file), number_, "text", "a name is there twice")
            found.update(member)
        return found

    def rows(self, file: str) -> list[Row]:
        found = []
        for number_, text in self.members(file, "["):
            try:
                found.append(parse(text))
            except ValueError as error:
                raise Wrong(self.name(file), number_, "text", str(error)) from None
        return found

    def events(self, file: str) -> Iterator[tuple[int, Row, bytes]]:
        """(line number, event, its canonical bytes) in their order."""
        for number_, text in self.lines(file):
            event = self.event(file, number_, text)
            yield number_, event, spelled([event[name] for name in COLUMNS]).encode()

    def event(self, file: str, number_: int, text: str) -> Row:
        try:
            event = parse(text)
        except ValueError as error:
            raise Wrong(self.name(file), number_, "event", str(error)) from None
        if not isinstance(event, dict) or list(event) != [*COLUMNS, "digest"]:
            raise Wrong(self.name(file), number_, "event", "has not the columns of an event")
        return event


def moment(text: str) -> int:
    """Microseconds since 1970, which is how events have their times."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))  # noqa: FURB162 - as Python 3.9 needs it
    return (at - EPOCH) // timedelta(microseconds=1)


# --- The proof of one invoice --------------------------------------------------------------------


class Proof:
    """Walks one invoice from its events to its total; raises Wrong at the first thing amiss."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.invoice = folder.object("invoice.json")
        self.lines = folder.rows("lines.json")
        self.terms = {entry["line"]: entry for entry in folder.rows("terms.json")}
        folder.rows("stages.json")
        self.keys = self._keys()
        self.event_count = 0

    def run(self) -> None:
        digests = []
        for index, line in enumerate(self.lines):
            self._line(index, line)
            digests += [bytes.fromhex(span["digest"]) for span in line["spans"]]
        if not self.invoice["parts"]:
            self._same("digest", hashlib.sha256(b"".join(digests)).hexdigest())
            self._sums()

    def sum_of(self, parts: list[Row]) -> None:
        """Whether it is what its parts come to, which is all that it says."""
        digests = b"".join(bytes.fromhex(part["digest"]) for part in parts)
        self._same("digest", hashlib.sha256(digests).hexdigest())
        for field in SUMS:
            self._same(field, sum((Decimal(part[field]) for part in parts), ZERO))

    def _keys(self) -> dict[int, bytes]:
        keys = {}
        for index, entry in enumerate(self.folder.rows("keys.json")):
            key = bytes.fromhex(entry["key"]) if _is_hex(entry["key"]) else b""
            if hashlib.sha256(key).hexdigest() != entry["sha256"]:
                name = self.folder.name("keys.json")
                raise Wrong(name, index + 2, "key", "is not the key whose SHA-256 stands beside it")
            keys[entry["runningTotalId"]] = key
        return keys

    def _line(self, index: int, line: Row) -> None:
        where = (self.folder.name("lines.json"), index + 2)
        if line["position"] != index + 1:
            raise Wrong(*where, "position", f"{line['position']}, but it is line {index + 1}")
        for span in line["spans"]:
            self._usage(where, line, span)
        for number_, charge in enumerate(line["charges"]):
            if charge["unitPrice"] is not None:
                amount = Decimal(charge["quantity"]) * Decimal(charge["unitPrice"])
                field = f"charges[{number_}].amount"
                _equal(where, field, Decimal(charge["amount"]), amount, "its quantity and price")
        amount = rounded(Decimal(line["exactAmount"]), self.invoice["minorUnits"])
        _equal(where, "amount", Decimal(line["amount"]), amount, "rounding exactAmount")

    def _usage(self, where: Place, line: Row, span: Row) -> None:
        entry = self.terms.get(line["position"])
        if entry is None or entry["runningTotalId"] != span["runningTotalId"]:
            raise Wrong(*where, "spans", "no entry of terms.json is of this line and its total")
        if entry["terms"] != line["terms"]:
            raise Wrong(*where, "terms", "are not the terms in terms.json")
        entry = dict(entry, periodStart=moment(entry["periodStart"]))
        entry["periodEnd"] = moment(entry["periodEnd"])
        before, after, revenue = self._replay(line, span, entry)
        of_span = "spans[0]."
        count, quantity = after.count - before.count, after.quantity - before.quantity
        _equal(where, of_span + "eventCount", span["eventCount"], count, "its events")
        _equal(where, of_span + "quantity", Decimal(span["quantity"]), quantity, "its events")
        _equal(where, "quantity", Decimal(line["quantity"]), quantity, "its events")
        self._billed_before(line, entry, before)
        revenue += sum((Decimal(one["amount"]) for one in entry["adjustments"]), ZERO)
        _equal(where, of_span + "revenue", Decimal(span["revenue"]), revenue, "its events")
        self._price(where, line, (before, after), revenue, late=entry["isAdjustment"])

    def _replay(self, line: Row, span: Row, entry: Row) -> tuple[Usage, Usage, Decimal]:
        """The usage before the span and after it, and the revenue of the events in it."""
        file = line["events"]
        taken_back = self._taken_back(file)
        ends = (span["firstPosition"] - 1, span["lastPosition"])
        tallies = [(at, Tally(entry, line["terms"])) for at in ends]
        chain, revenue, position = bytes(32), ZERO, 0
        for number_, event, canonical in self.folder.events(file):
            position += 1
            where = (self.folder.name(file), number_)
            self._belongs(where, event, position, line, entry)
            hashed = hmac.new(self.keys[span["runningTotalId"]], canonical, hashlib.sha256)
            chain = hashlib.sha256(chain + hashed.digest()).digest()
            if chain.hex() != event["digest"]:
                why = f"event {event['idempotency_key']!r} is not the one that was counted"
                raise Wrong(*where, "digest", why)
            if position >= span["firstPosition"]:
                revenue += Decimal(event["revenue"])
            for at, tally in tallies:
                stands = event["source"] != "VOID" and taken_back.get(position, at + 1) > at
                if stands and position <= at:
                    tally.add(event)
        self.event_count += position
        if position != span["lastPosition"]:
            why = f"{position} events, but the span ends at position {span['lastPosition']}"
            raise Wrong(self.folder.name(file), position + 1, "position", why)
        if chain.hex() != span["digest"]:
            why = "is not what the chain of events ends in"
            name = self.folder.name("lines.json")
            raise Wrong(name, line["position"] + 1, "spans[0].digest", why)
        before, after = (tally.usage for _, tally in tallies)
        return before if entry["isAdjustment"] else Usage(), after, revenue

    def _taken_back(self, file: str) -> dict[int, int]:
        """Positions whose events do not stand, each with where it was taken back."""
        found = {}
        for number_, text in self.folder.lines(file):
            if '"source":"VOID"' not in text:
                continue
            event = self.folder.event(file, number_, text)
            try:
                found[json.loads(event["metadata"])["voids"]["position"]] = event["position"]
            except (TypeError, ValueError, KeyError):
                why = "does not say which event it takes back"
                raise Wrong(self.folder.name(file), number_, "metadata", why) from None
        return found

    def _belongs(self, where: Place, event: Row, position: int, line: Row, entry: Row) -> None:
        """Next in its total, of this unit, under this version, in this period."""
        wanted = {
            "position": position,
            "running_total_id": entry["runningTotalId"],
            "unit_id": line["unitId"],
            "plan_version_id": line["versionId"],
        }
        for name, value in wanted.items():
            if event[name] != value:
                raise Wrong(*where, name, f"{event[name]}, but it must be {value}")
        if not entry["periodStart"] <= event["occurred_at"] < entry["periodEnd"]:
            raise Wrong(*where, "occurred_at", "is not in the period that is billed")
        if event["source"] != "VOID" and dimension_of(line, event) != line["dimension"]:
            raise Wrong(*where, "metadata", f"is not of the line's {line['dimension']}")

    def _billed_before(self, line: Row, entry: Row, before: Usage) -> None:
        where = (self.folder.name("terms.json"), list(self.terms).index(line["position"]) + 2)
        billed = entry["billedBefore"]
        _equal(where, "billedBefore.eventCount", billed["eventCount"], before.count, "its events")
        quantity = Decimal(billed["quantity"])
        _equal(where, "billedBefore.quantity", quantity, before.quantity, "its events")

    def _price(
        self, where: Place, line: Row, billed: tuple[Usage, Usage], revenue: Decimal, *, late: bool
    ) -> None:
        """The price of all usage at once, and what its events added to it one by one."""
        exact, terms = Decimal(line["exactAmount"]), line["terms"]
        before, after = billed
        first = price(terms, before) if late else ZERO
        _equal(where, "exactAmount", exact, price(terms, after) - first, "its terms")
        begun = ZERO if late else price(terms, Usage())
        _equal(where, "exactAmount", exact, begun + revenue, "charge(0) and its events")
        charges = sum((Decimal(charge["amount"]) for charge in line["charges"]), ZERO)
        _equal(where, "charges", charges, exact, "exactAmount")

    def _sums(self) -> None:
        sums = dict.fromkeys(SUMS, ZERO)
        for line in self.lines:
            amount = Decimal(line["amount"])
            kind = {"DISCOUNT": "discountTotal", "TAX_ADJUSTMENT": "taxTotal"}.get(line["type"])
            sums[kind or "subtotal"] += -amount if kind == "discountTotal" else amount
            sums["total"] += amount
        for field, amount in sums.items():
            self._same(field, amount)

    def _same(self, field: str, found: object) -> None:
        stored = self.invoice[field]
        stored = Decimal(stored) if isinstance(found, Decimal) else stored
        line = list(self.invoice).index(field) + 2
        _equal((self.folder.name("invoice.json"), line), field, stored, found, "its lines")


def _is_hex(text: object) -> bool:
    return isinstance(text, str) and not len(text) % 2 and set(text) <= set("0123456789abcdef")


def _equal(where: Place, field: str, stored: object, found: object, of: str) -> None:
    if stored != found:
        shown = plain(found) if isinstance(found, Decimal) else found
        raise Wrong(*where, field, f"{stored}, but {of} come to {shown}")


# --- The whole export ----------------------------------------------------------------------------


def damaged(folder: Folder) -> list[str]:
    """Files that are not, byte for byte, those that were exported: whatever they say."""
    wrong, files = [], folder.object("manifest.json").get("files")
    if not isinstance(files, dict):
        raise Wrong("manifest.json", 2, "files", "are not there")
    for name, told in files.items():
        digest = hashlib.sha256()
        try:
            with (folder.path / name).open("rb") as stream:
                for piece in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(piece)
        except (OSError, ValueError):
            wrong.append(f"{name}: is named by manifest.json and not there")
            continue
        if digest.hexdigest() != told:
            wrong.append(f"{name}: its SHA-256 is not the one in manifest.json")
    return wrong


def prove(path: Path, prefix: str = "") -> list[Proof]:
    """The proofs of an invoice and of its parts; raises Wrong."""
    proof = Proof(Folder(path, prefix))
    proof.run()
    proofs = [proof]
    for part in proof.invoice["parts"]:
        proofs += prove(path / part, f"{prefix}{part}/")
    if proofs[1:]:
        proof.sum_of([one.invoice for one in proofs[1:]])
    return proofs


def main(arguments: list[str]) -> int:
    path = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).resolve().parent
    decimal.setcontext(EXACT)
    faults = []
    try:
        faults = damaged(Folder(path))
    except Wrong as wrong:
        faults = [str(wrong)]
    try:
        proofs = prove(path)
    except Wrong as wrong:
        faults.insert(0, str(wrong))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        faults.append(f"cannot be understood: {error!r}")
    for fault in faults:
        sys.stdout.write(f"WRONG  {fault}\n")
    if faults:
        return 1
    for proof in proofs:
        invoice = proof.invoice
        sys.stdout.write(
            f"OK  invoice {invoice['number'] or invoice['id']}: {len(proof.lines)} lines,"
            f" {proof.event_count} events, total {invoice['total']} {invoice['currency']}\n"
            f"    compare with the paper: sha256:{invoice['digest']}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
