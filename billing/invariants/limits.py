"""Truths of what is never asked for: more off than there is, trials, what has ended."""

from collections.abc import Iterator

from billing.invariants.violations import Scope, Violation

# Discounts are of prices as they stand: what is taken out as the tax contained in them is put back.
_DISCOUNTS = """
    SELECT 'invoice ' || coalesce(i.number, i.id::text),
           format('discounts of %%s on a subtotal of %%s', i.discount_total, i.subtotal)
    FROM invoices i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(l.amount), 0) AS amount
        FROM invoices p JOIN invoice_lines l ON l.invoice_id = p.id
        WHERE (p.id = i.id OR p.part_of_id = i.id) AND l.stage = 'Tax' AND l.type = 'CREDIT'
    ) AS contained
    WHERE (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
      AND NOT (i.discount_total BETWEEN 0 AND i.subtotal - contained.amount AND i.total >= 0)
"""
_TRIALS = """
    SELECT 'invoice ' || coalesce(i.number, i.id::text), 'is of the trial ' || p.id
    FROM invoices i JOIN subscription_periods p ON p.id = i.period_id AND p.kind = 'TRIAL'
    WHERE i.kind IN ('PERIOD', 'PROGRESS') AND i.status <> 'VOID'
      AND (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
"""
_GONE_ON = """
    SELECT 'subscription ' || e.subscription_id,
           format('was %%s at %%s and %%s at %%s', e.state, e.started_at, n.state, n.started_at)
    FROM subscription_phases e
    JOIN subscription_phases n
      ON n.subscription_id = e.subscription_id AND n.started_at > e.started_at
    WHERE e.state IN ('CANCELLED', 'EXPIRED')
      AND (%(tenant)s::uuid IS NULL OR e.tenant_id = %(tenant)s)
"""


def discounts_above_their_lines(scope: Scope) -> Iterator[Violation]:
    """Also invoices below zero."""
    return scope.violations(_DISCOUNTS)


def trials_that_were_invoiced(scope: Scope) -> Iterator[Violation]:
    return scope.violations(_TRIALS)


def ends_that_were_left(scope: Scope) -> Iterator[Violation]:
    """Subscriptions that went on after they were cancelled or had expired."""
    return scope.violations(_GONE_ON)
