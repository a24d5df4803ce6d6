"""What became of the probe's events, by the books of the installation, and whether it is right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import reduce
from operator import add

from django.db import connection

from aforo.money import ZERO, exact
from aforo.probe.sender import Client
from aforo.probe.traffic import METRICS, Expected
from aforo.tenancy.models import Tenant
from billing.invariants import broken_truths
from metering.models import DeadLetter
from metering.selectors.accounts import Account, account_of

_SUMS = """
    SELECT u.name, sum(r.quantity) FROM running_totals r JOIN billable_units u ON u.id = r.unit_id
    WHERE r.tenant_id = %s GROUP BY u.name
"""
# By the totals, which have an index; the prefix of the run's keys does the rest.
_ROWS = """
    SELECT count(*), count(DISTINCT e.idempotency_key)
    FROM running_totals r JOIN usage_events e ON e.running_total_id = r.id
    WHERE r.tenant_id = %s AND starts_with(e.idempotency_key, %s)
"""


@dataclass(frozen=True, slots=True)
class Books:
    """The probe tenant's accounts at one moment."""

    account: Account
    sums: Mapping[str, Decimal]
    letters: int

    @classmethod
    def of(cls, tenant: Tenant) -> "Books":
        with connection.cursor() as cursor:
            cursor.execute(_SUMS, (tenant.pk,))
            sums = dict.fromkeys(METRICS, ZERO) | dict(cursor.fetchall())
        letters = DeadLetter.objects.for_tenant(tenant).count()
        return cls(account_of(tenant.pk), sums, letters)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of one run, and every sentence that does not hold."""

    received: int
    counted: int
    duplicates: int
    dead: int
    lost: int
    doubled: int
    broken: tuple[str, ...]

    def __str__(self) -> str:
        names = ("received", "counted", "duplicates", "dead", "lost", "doubled")
        return " ".join(f"{name}={getattr(self, name)}" for name in names)


def judge(tenant: Tenant, run: str, before: Books, clients: Sequence[Client]) -> Verdict:
    """Compare the books with what was acknowledged; exact, whatever was sent more than once."""
    after = Books.of(tenant)
    expected = reduce(add, (one.stream.expected(one.acknowledged.batches) for one in clients))
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, (tenant.pk, f"probe-{run}-"))
        rows, keys = cursor.fetchone()
    grown = _grown(before.account, after.account)
    return Verdict(
        received=grown["received"],
        counted=grown["counted"],
        duplicates=grown["duplicates"],
        dead=grown["dead"],
        lost=expected.counted - keys,
        doubled=rows - keys,
        broken=tuple(_broken(tenant, expected, _sums(clients), before, after)),
    )


def _grown(before: Account, after: Account) -> dict[str, int]:
    return {one.name: getattr(after, one.name) - getattr(before, one.name) for one in fields(after)}


def _broken(
    tenant: Tenant,
    expected: Expected,
    sums: Mapping[str, Decimal],
    before: Books,
    after: Books,
) -> list[str]:
    grown = _grown(before.account, after.account)
    letters = after.letters - before.letters
    sentences = {
        "received = counted + unbilled + duplicates + dead + held + waived + waiting": (
            after.account.balances
        ),
        f"{expected.counted} events were to be counted": grown["counted"] == expected.counted,
        f"at least {expected.duplicates} repeats were sent": (
            grown["duplicates"] >= expected.duplicates
        ),
        f"{expected.dead} kinds of bad events were sent, {letters} dead letters were left": (
            letters == expected.dead
        ),
        "at least as many dead letters as bad events": grown["dead"] >= expected.dead,
        "nothing is unbilled, held or waiting": not (
            grown["unbilled"] or grown["held"] or after.account.waiting
        ),
        **{
            f"the totals of {metric} grew by {quantity}": (
                after.sums[metric] - before.sums[metric] == quantity
            )
            for metric, quantity in sums.items()
        },
    }
    broken = [sentence for sentence, holds in sentences.items() if not holds]
    return broken + [
        f"{truth}: {violation.subject}: {violation.found}"
        for truth, violations in broken_truths(tenant_id=tenant.pk).items()
        for violation in violations
    ]


def _sums(clients: Sequence[Client]) -> dict[str, Decimal]:
    with exact():
        sums = dict.fromkeys(METRICS, ZERO)
        for client in clients:
            for metric, quantity in client.stream.sums(client.acknowledged.batches).items():
                sums[metric] += quantity
    return sums
