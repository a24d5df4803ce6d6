"""Truths of invoices: their sums, their lines, their numbers."""

from collections.abc import Iterator

from django.db.models import QuerySet

from aforo.money import plain
from billing.invariants.violations import Scope, Violation
from billing.models import Invoice, InvoiceLine
from billing.verification.evidence import Evidence, Exhibits, Unprovable

SAMPLE = 200  # invoices per hourly check whose lines are priced again

_SUMS = """
    SELECT 'invoice ' || coalesce(i.number, i.id::text),
           format('subtotal %%s, discount %%s, tax %%s, total %%s; its lines: %%s, %%s, %%s, %%s',
                  i.subtotal, i.discount_total, i.tax_total, i.total,
                  l.subtotal, l.discount, l.tax, l.total)
    FROM invoices i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount) FILTER (
                   WHERE type NOT IN ('DISCOUNT', 'TAX_ADJUSTMENT')), 0) AS subtotal,
               -coalesce(sum(amount) FILTER (WHERE type = 'DISCOUNT'), 0) AS discount,
               coalesce(sum(amount) FILTER (WHERE type = 'TAX_ADJUSTMENT'), 0) AS tax,
               coalesce(sum(amount), 0) AS total
        FROM invoice_lines WHERE invoice_id = i.id
    ) AS l
    WHERE i.kind <> 'CONSOLIDATED' AND (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
      AND (i.subtotal, i.discount_total, i.tax_total, i.total)
          IS DISTINCT FROM (l.subtotal, l.discount, l.tax, l.total)
"""
# Usage so far moves no watermark: its spans begin at 1 and are billed again with the period.
_WATERMARKS = """
    SELECT 'running total ' || s.running_total_id,
           format('billed to position %%s by invoice %%s; it stands at %%s, its watermark at %%s',
                  s.last_position, coalesce(i.number, i.id::text),
                  coalesce(t."position"::text, 'nothing'),
                  coalesce(t.billed_position::text, 'nothing'))
    FROM bill_run_event_index s
    JOIN invoice_lines l ON l.id = s.line_id
    JOIN invoices i ON i.id = l.invoice_id AND i.status <> 'VOID' AND i.kind <> 'PROGRESS'
    LEFT JOIN running_totals t ON t.id = s.running_total_id
    WHERE (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
      AND (t.billed_position >= s.last_position AND t."position" >= s.last_position) IS NOT TRUE
"""
# What is billed of a total is all of it up to the watermark, each position by one line.
_GAPS = """
    SELECT 'running total ' || running_total_id,
           format('positions from %%s on are billed, but the ones before ended at %%s',
                  first_position, before)
    FROM (
        SELECT s.running_total_id, s.first_position, coalesce(max(s.last_position) OVER (
                   PARTITION BY s.running_total_id ORDER BY s.first_position, s.last_position
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
        FROM bill_run_event_index s
        JOIN invoice_lines l ON l.id = s.line_id
        JOIN invoices i ON i.id = l.invoice_id AND i.status <> 'VOID' AND i.kind <> 'PROGRESS'
        WHERE %(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s
    ) AS spans
    WHERE first_position <> before + 1
"""
_TWICE = """
    SELECT 'period ' || period_id, count(*) || ' invoices'
    FROM invoices
    WHERE kind = 'PERIOD' AND status <> 'VOID'
      AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s)
    GROUP BY subscription_id, period_id HAVING count(*) > 1
    UNION ALL
    SELECT 'subscription ' || a.subscription_id,
           format('invoices %%s and %%s bill the same time',
                  coalesce(a.number, a.id::text), coalesce(b.number, b.id::text))
    FROM invoices a
    JOIN invoices b ON b.subscription_id = a.subscription_id AND b.id > a.id
     AND b.period_id <> a.period_id
     AND b.period_start_at < a.period_end_at AND a.period_start_at < b.period_end_at
    WHERE a.kind = 'PERIOD' AND b.kind = 'PERIOD' AND a.status <> 'VOID' AND b.status <> 'VOID'
      AND (%(tenant)s::uuid IS NULL OR a.tenant_id = %(tenant)s)
"""
# Gapless: as many numbers as the counter has given, all different, the highest being the last.
# Parts of a consolidated invoice bear its number.
_NUMBERS = """
    SELECT 'billing entity ' || e.code,
           format('%%s numbers were drawn; %%s invoices have one, the highest is %%s',
                  e.next_invoice_number - 1, n.count, n.last)
    FROM billing_entities e
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, count(DISTINCT drawn) AS different,
               coalesce(max(drawn), 0) AS last
        FROM (SELECT substring(number FROM '[0-9]+$')::bigint AS drawn
              FROM invoices WHERE billing_entity_id = e.id
                              AND number IS NOT NULL AND part_of_id IS NULL) AS numbers
    ) AS n
    WHERE (%(tenant)s::uuid IS NULL OR e.tenant_id = %(tenant)s)
      AND (n.count, n.different, n.last) IS DISTINCT FROM
          (e.next_invoice_number - 1, e.next_invoice_number - 1, e.next_invoice_number - 1)
"""


def invoices_off_their_lines(scope: Scope) -> Iterator[Violation]:
    return scope.violations(_SUMS)


def lines_off_their_spans(scope: Scope) -> Iterator[Violation]:
    """Line by line: the span's quantity priced again, by the terms that its version publishes."""
    for invoice in _chosen(scope).iterator(chunk_size=SAMPLE):
        lines = list(
            InvoiceLine.objects.for_tenant(invoice.tenant_id).filter(
                invoice=invoice, type=InvoiceLine.Type.USAGE_FEE
            )
        )
        exhibits = Exhibits(invoice, lines)
        for line in lines:
            found = _off_span(line, exhibits)
            if found:
                yield Violation(f"invoice {invoice}, line {line.position}", found)


def spans_above_watermarks(scope: Scope) -> Iterator[Violation]:
    """Also what is billed twice or was passed over, which a watermark alone does not show."""
    yield from scope.violations(_WATERMARKS)
    yield from scope.violations(_GAPS)


def periods_billed_twice(scope: Scope) -> Iterator[Violation]:
    return scope.violations(_TWICE)


def gaps_in_numbers(scope: Scope) -> Iterator[Violation]:
    return scope.violations(_NUMBERS)


def _chosen(scope: Scope) -> QuerySet[Invoice]:
    invoices: QuerySet[Invoice] = Invoice.objects.select_related("tenant", "period")  # any tenant
    if scope.tenant_id:
        invoices = invoices.filter(tenant_id=scope.tenant_id)
    return invoices.order_by("id") if scope.full else invoices.order_by("?")[:SAMPLE]


def _off_span(line: InvoiceLine, exhibits: Exhibits) -> str | None:
    try:
        evidence = exhibits.of(line)
    except Unprovable as error:
        return str(error)
    if evidence.terms != evidence.published:
        return "its terms are not those of the published plan version"
    if line.quantity != evidence.span.quantity:
        return f"its quantity is not the {plain(evidence.span.quantity)} of its span"
    return _off_price(line, evidence)


def _off_price(line: InvoiceLine, evidence: Evidence) -> str | None:
    if not evidence.is_told_by_sums:
        return None  # `aforo verify` walks the events
    price = evidence.price(evidence.billed, evidence.reached)
    added = evidence.added(evidence.span.revenue)
    if price == added == line.exact_amount:
        return None
    return (
        f"its span is priced {plain(price)}, its events come to {plain(added)},"
        f" it says {plain(line.exact_amount)}"
    )
