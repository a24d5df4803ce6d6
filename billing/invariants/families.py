"""Truths of invoices that belong together: parts of a whole, usage that was asked for before."""

from collections.abc import Iterator

from billing.invariants.violations import Scope, Violation

_PARTS = """
    SELECT 'invoice ' || coalesce(i.number, i.id::text),
           format('subtotal %%s, discount %%s, tax %%s, total %%s; its %%s parts: '
                  || '%%s, %%s, %%s, %%s%%s',
                  i.subtotal, i.discount_total, i.tax_total, i.total, p.count,
                  p.subtotal, p.discount, p.tax, p.total,
                  CASE WHEN p.strangers > 0 THEN '; some stand otherwise than it' ELSE '' END)
    FROM invoices i
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, coalesce(sum(subtotal), 0) AS subtotal,
               coalesce(sum(discount_total), 0) AS discount, coalesce(sum(tax_total), 0) AS tax,
               coalesce(sum(total), 0) AS total,
               count(*) FILTER (
                   WHERE status <> i.status OR currency <> i.currency
                      OR billing_entity_id <> i.billing_entity_id
                      OR (number IS NULL) <> (i.number IS NULL)
                      OR number NOT LIKE i.number || '/%%') AS strangers
        FROM invoices WHERE part_of_id = i.id
    ) AS p
    WHERE i.kind = 'CONSOLIDATED' AND (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
      AND ((i.subtotal, i.discount_total, i.tax_total, i.total)
           IS DISTINCT FROM (p.subtotal, p.discount, p.tax, p.total)
           OR p.count = 0 OR p.strangers > 0)
"""
# What was asked for is taken off as far as there is something left to take it off. What an earlier
# invoice gave back is a charge; those for discounts on what is given back are of other things.
_ASKED = """
    SELECT 'invoice ' || coalesce(i.number, i.id::text),
           format('takes off %%s; earlier invoices of its period have asked for %%s',
                  own.credits, earlier.asked)
    FROM invoices i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(l.amount), 0) AS asked
        FROM invoices e JOIN invoice_lines l ON l.invoice_id = e.id AND l.stage <> 'Tax'
        WHERE e.period_id = i.period_id AND e.kind = 'PROGRESS' AND e.status <> 'VOID'
    ) AS earlier
    CROSS JOIN LATERAL (
        SELECT -coalesce(sum(amount) FILTER (
                   WHERE stage = 'Discount' AND (type = 'CREDIT' OR type = 'CHARGE'
                       AND description LIKE 'Usage so far: asked for with %%')
               ), 0) AS credits,
               coalesce(sum(amount) FILTER (WHERE stage <> 'Tax'), 0) AS rest
        FROM invoice_lines WHERE invoice_id = i.id
    ) AS own
    WHERE i.kind = 'PERIOD' AND i.status <> 'VOID'
      AND EXISTS (SELECT FROM invoices e WHERE e.period_id = i.period_id AND e.kind = 'PROGRESS')
      AND (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
      AND own.credits <> earlier.asked AND NOT (own.credits < earlier.asked AND own.rest = 0)
"""
# A draft waits for its tax; a whole for that of all its parts, and no longer.
_TAXED = """
    SELECT 'invoice ' || coalesce(i.number, i.id::text),
           format('it is %%s, its tax is %%s', i.status, i.tax_status)
    FROM invoices i
    WHERE i.status NOT IN ('DRAFT', 'VOID') AND i.tax_status <> 'SETTLED'
      AND (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
    UNION ALL
    SELECT 'invoice ' || i.id,
           format('it is DRAFT, its tax is %%s, that of its parts is%%s', i.tax_status,
                  CASE WHEN i.tax_status = 'SETTLED' THEN ' not' ELSE '' END)
    FROM invoices i
    WHERE i.kind = 'CONSOLIDATED' AND i.status = 'DRAFT'
      AND (i.tax_status = 'SETTLED') = EXISTS (
          SELECT FROM invoices p WHERE p.part_of_id = i.id AND p.tax_status <> 'SETTLED')
      AND (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
"""


def wholes_off_their_parts(scope: Scope) -> Iterator[Violation]:
    """A consolidated invoice: sums, status, currency, seller and number of its parts."""
    return scope.violations(_PARTS)


def issued_without_tax(scope: Scope) -> Iterator[Violation]:
    """What was issued, alone or as a part, before anybody knew its tax."""
    return scope.violations(_TAXED)


def usage_asked_for_twice(scope: Scope) -> Iterator[Violation]:
    """Usage that was invoiced before the period ended, and is not taken off at its end."""
    return scope.violations(_ASKED)
