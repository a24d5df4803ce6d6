"""Truths of what is never asked for: more off than there is, trials, what has ended."""

from collections.abc import Iterator

from billing.invariants.violations import Scope, Violation

_DISCOUNTS = """
    SELECT 'invoice ' || coalesce(number, id::text),
           format('discounts of %%s on a subtotal of %%s', discount_total, subtotal)
    FROM invoices
    WHERE (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s)
      AND NOT (discount_total BETWEEN 0 AND subtotal AND total >= 0)
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
