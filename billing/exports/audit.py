"""The audit export: an invoice with all that it stands on, and the program that checks it."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.db.models import Prefetch

from aforo.errors import Conflict
from aforo.money import plain
from billing.exports.archive import Files, Manifest, zipped
from billing.exports.audit_files import (
    Json,
    elements,
    events_file,
    invoice_file,
    line_file,
    members,
)
from billing.exports.line_events import walk
from billing.exports.parts import parts_of
from billing.exports.tables import moment
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.verification.evidence import Evidence, Exhibits, Unprovable, rollover_of
from catalog.models import SubscriptionPeriod
from metering.models import RatingAdjustment, RunningTotal

HERE = Path(__file__).parent


def audit_export(invoice: Invoice) -> Iterator[bytes]:
    """A zip, byte for byte the same for the same invoice, made while it is sent.

    Raises Conflict, before the first byte, when the invoice cannot be proven from what is here.
    """
    dossiers = [_Dossier(invoice, ""), *_parts(invoice)]
    return zipped(_files(dossiers), at=invoice.created_at)


def _parts(invoice: Invoice) -> Sequence["_Dossier"]:
    numbered = enumerate(parts_of(invoice), start=1)
    return [_Dossier(part, f"part-{number}/") for number, part in numbered]


def _files(dossiers: Sequence["_Dossier"]) -> Files:
    manifest = Manifest()
    folders = [dossier.prefix.rstrip("/") for dossier in dossiers[1:]]
    for index, dossier in enumerate(dossiers):
        yield from manifest.noting(dossier.files(parts=() if index else folders))
    yield from manifest.noting((name, [(HERE / name).read_bytes()]) for name in _PROGRAM)
    yield "manifest.json", members({"files": manifest.digests})


_PROGRAM = ("README.txt", "verify.py")


class _Dossier:
    """One invoice, read once; only its events are read later, when their file is written."""

    def __init__(self, invoice: Invoice, prefix: str) -> None:
        self.invoice, self.prefix = invoice, prefix
        spans = BillRunEventIndex.objects.for_tenant(invoice.tenant_id).order_by("running_total_id")
        lines = InvoiceLine.objects.for_tenant(invoice.tenant_id).filter(invoice=invoice)
        self.lines = list(lines.prefetch_related(Prefetch("spans", spans)).order_by("position"))
        exhibits = Exhibits(invoice, self.lines)
        self.evidence = {
            line.position: _evidence(line, exhibits) for line in self.lines if line.spans.all()
        }
        self._totals = self._read_totals()

    def files(self, *, parts: Sequence[str]) -> Files:
        yield self._named("invoice.json", members(invoice_file(self.invoice, parts=parts)))
        yield self._named("lines.json", elements(map(self._line, self.lines)))
        yield self._named("stages.json", elements(self._stages()))
        yield self._named("terms.json", elements(self._terms()))
        yield self._named("keys.json", elements(self._keys()))
        for position, evidence in self.evidence.items():
            span = evidence.span
            events = walk(span.running_total_id, 1, span.last_position)
            yield self._named(_events_name(position), events_file(events))

    def _named(self, name: str, pieces: Iterator[bytes]) -> tuple[str, Iterator[bytes]]:
        return self.prefix + name, pieces

    def _line(self, line: InvoiceLine) -> Json:
        events = _events_name(line.position) if line.position in self.evidence else None
        return line_file(line, currency=self.invoice.currency, events=events)

    def _stages(self) -> list[Json]:
        record = getattr(self.invoice, "stage_record", None)
        return list(record.stages) if record else []

    def _keys(self) -> Iterator[Json]:
        """The keys of its own totals: with them one can check those, and forge no others."""
        for evidence in self.evidence.values():
            yield {
                "runningTotalId": evidence.span.running_total_id,
                "key": evidence.key.hex(),
                "sha256": hashlib.sha256(evidence.key).hexdigest(),
            }

    def _terms(self) -> Iterator[Json]:
        """What made the price of each usage line, beside its events."""
        for position, evidence in self.evidence.items():
            total, period = self._totals[evidence.span.running_total_id]
            yield {
                "line": position,
                "runningTotalId": total.pk,
                "periodStart": moment(period.start_at),
                "periodEnd": moment(period.end_at),
                "unit": {
                    "id": str(evidence.unit.pk),
                    "name": evidence.unit.name,
                    "aggregation": evidence.unit.aggregation,
                    "eventField": evidence.unit.event_field,
                    "recurring": evidence.unit.recurring,
                },
                "isAdjustment": evidence.is_adjustment,
                "billedBefore": {
                    "eventCount": evidence.billed.count,
                    "quantity": plain(evidence.billed.quantity),
                },
                "rollover": plain(rollover_of(self._line_at(position), total)),
                "carried": None if total.carried is None else plain(total.carried),
                "carriedValues": sorted(evidence.counting.carried_values),
                "adjustments": _adjustments(evidence.span),
                "published": evidence.published.as_dict(),
                "terms": self._line_at(position).terms,
            }

    def _line_at(self, position: int) -> InvoiceLine:
        found: InvoiceLine = next(line for line in self.lines if line.position == position)
        return found

    def _read_totals(self) -> dict[int, tuple[RunningTotal, SubscriptionPeriod]]:
        ids = [evidence.span.running_total_id for evidence in self.evidence.values()]
        tenant_id = self.invoice.tenant_id
        totals = RunningTotal.objects.filter(tenant_id=tenant_id, id__in=ids)  # any tenant: by id
        periods = SubscriptionPeriod.objects.for_tenant(tenant_id).in_bulk(
            {total.period_id for total in totals}
        )
        return {total.pk: (total, periods[total.period_id]) for total in totals}


def _events_name(position: int) -> str:
    return f"events-{position}.ndjson"


def _evidence(line: InvoiceLine, exhibits: Exhibits) -> Evidence:
    archive = exhibits.archive_of(line)
    if archive is not None:
        raise Conflict(f"line {line.position}: {archive}", code="EVENTS_ARCHIVED")
    try:
        return exhibits.of(line)
    except Unprovable as error:
        raise Conflict(f"line {line.position}: {error}", code="UNPROVABLE") from error


def _adjustments(span: BillRunEventIndex) -> list[Json]:
    """What no event brought while the total stood within the span, or before its first event."""
    rows = RatingAdjustment.objects.filter(  # any tenant: a total belongs to one
        running_total_id=span.running_total_id
    )
    return [
        {"amount": plain(row.amount), "reason": row.reason, "at": moment(row.created_at)}
        for row in rows.order_by("id")
        if _is_within(row.position or 0, span)
    ]


def _is_within(position: int, span: BillRunEventIndex) -> bool:
    is_after = span.first_position == 1 or position >= span.first_position
    return is_after and position <= span.last_position
