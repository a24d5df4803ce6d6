"""What a world has come to: usage by what became of it, totals, invoices as the API tells them."""

from typing import Any

from django.db.models import Sum

from billing.models import Invoice
from billing.simulations.expectations import Finding, all_of, compared
from billing.simulations.scenario import Body, Expectation
from billing.simulations.world import World
from catalog.models import BillableUnit, Subscription
from metering.models import DeadLetter, Receipt, RunningTotal

_FATES = ("event_count", "counted", "unbilled", "duplicates", "dead", "held")
# Of an invoice and its lines, what is the same in every run: no ids, no digests.
_INVOICE = (
    "customerExternalId", "number", "kind", "status", "currency", "subtotal", "discountTotal",
    "taxTotal", "total", "periodStart", "periodEnd",
)  # fmt: skip
_LINE = ("type", "description", "quantity", "amount", "exactAmount", "charges", "dimension")


class Outcomes:
    """Looks at one world; invoices that were judged once are not judged again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._judged: set[object] = set()

    def judge(self, name: str, asked: Expectation) -> list[Finding]:
        """A finding for each member of what is asked."""
        findings = []
        if asked.usage is not None:
            findings.append(compared(f"{name}: usage", asked.usage, self.usage()))
        if asked.refusals is not None:
            findings.append(compared(f"{name}: refusals", asked.refusals, self._refusals()))
        if asked.totals is not None:
            totals = self._totals()
            findings.append(all_of(f"{name}: totals", asked.totals, totals, exactly=False))
        if asked.invoices is not None:
            new = self._new_invoices()
            findings.append(all_of(f"{name}: invoices", asked.invoices, new, exactly=True))
        if asked.get is not None:
            body = self._world.operator.get(asked.get).required(asked.get)
            findings.append(compared(f"{name}: {asked.get}", asked.is_, body))
        return findings

    def usage(self) -> dict[str, int]:
        """Events by what became of them."""
        rows = Receipt.objects.filter(tenant_id=self._world.tenant.pk)  # any tenant: by id
        sums = rows.aggregate(**{fate: Sum(fate) for fate in _FATES})
        found = {fate: int(sums[fate] or 0) for fate in _FATES}
        return {"received": found.pop("event_count"), **found}

    def told_invoices(self) -> list[Body]:
        """All invoices, as far as they are the same in every run."""
        return [_told(self._explained(one)) for one in self._rows()]

    def _refusals(self) -> dict[str, int]:
        letters = DeadLetter.objects.for_tenant(self._world.tenant)
        sums = letters.values_list("code").annotate(Sum("occurrences")).order_by("code")
        return dict(sums)

    def _totals(self) -> list[Body]:
        rows = RunningTotal.objects.filter(tenant_id=self._world.tenant.pk)  # any tenant: by id
        units = dict(BillableUnit.objects.for_tenant(self._world.tenant).values_list("id", "name"))
        owners = dict(
            Subscription.objects.for_tenant(self._world.tenant).values_list(
                "id", "customer__external_id"
            )
        )
        return [
            {
                "customer": owners[total.subscription_id],
                "metric": units[total.unit_id],
                "dimension": total.dimension,
                "quantity": str(total.quantity),
                "revenue": str(total.revenue),
                "events": total.event_count,
            }
            for total in rows.order_by("id")
        ]

    def _new_invoices(self) -> list[Body]:
        new = [one for one in self._rows() if one.pk not in self._judged]
        self._judged |= {one.pk for one in new}
        return [_told(self._explained(one)) for one in new]

    def _rows(self) -> list[Invoice]:
        rows = Invoice.objects.for_tenant(self._world.tenant)
        return list(rows.order_by("customer__external_id", "period_end_at", "kind", "number", "id"))

    def _explained(self, invoice: Invoice) -> Body:
        body: Any = self._world.operator.get(f"/api/v1/invoices/{invoice.pk}").required("invoice")
        entity: Body = body.get("data", body)
        return entity


def _told(invoice: Body) -> Body:
    lines = [{key: line.get(key) for key in _LINE if key in line} for line in invoice["lines"]]
    return {key: invoice.get(key) for key in _INVOICE} | {"lines": lines}
