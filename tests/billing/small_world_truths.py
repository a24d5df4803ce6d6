"""What must hold in a small world after every step, and what of each invoice of it."""

from decimal import Decimal

from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.simulations.calls import Caller
from billing.verification import verify_invoice
from catalog.models import Subscription, SubscriptionPeriod
from catalog.services.openings import open_tenant
from metering.models import UsageEvent

ENDS = {"CANCELLED", "EXPIRED"}
Type = InvoiceLine.Type
_ACTOR = Actor.system("tests")


class Looks:
    """Looks at the one world there is, after each step; `told` is what an invoice says."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.step = 0
        self.ended = {}
        self.billed = None

    def __call__(self, percent):
        tenant = Tenant.objects.latest("created_at")
        steps = self.scenario["steps"]
        step = steps[self.step]
        self.step += 1
        broken = broken_truths(tenant_id=tenant.pk, full=True)
        assert broken == {}, (self.step, step, broken)
        self._ends_stay_ends(tenant)
        if "bill" in step:
            self._twice_is_once(tenant, steps[self.step - 2])
            for invoice in Invoice.objects.for_tenant(tenant):
                _assert_sound(invoice)
        if self.step == len(steps):
            _assert_nobody_else_reads(tenant)

    def _ends_stay_ends(self, tenant):
        rows = dict(Subscription.objects.for_tenant(tenant).values_list("id", "state"))
        assert {one: rows[one] for one in self.ended} == self.ended
        self.ended = {one: state for one, state in rows.items() if state in ENDS}

    def _twice_is_once(self, tenant, before):
        """The second of two runs in a row has changed nothing."""
        seen = billed(tenant)
        if before == self.scenario["steps"][self.step - 1]:
            assert seen == self.billed
        self.billed = seen


def twice(scenario):
    """The same with each bill run run again."""
    steps = [one for step in scenario["steps"] for one in [step] * (2 if "bill" in step else 1)]
    return {**scenario, "steps": steps}


def billed(tenant):
    rows = Invoice.objects.for_tenant(tenant).order_by("id")
    lines = InvoiceLine.objects.for_tenant(tenant).order_by("invoice_id", "position")
    return list(rows.values()), list(lines.values())


def _assert_sound(invoice):
    assert verify_invoice(invoice).broken == ()
    assert invoice.total >= 0
    assert 0 <= invoice.discount_total <= invoice.subtotal
    if invoice.period_id:
        period = SubscriptionPeriod.objects.get(pk=invoice.period_id)
        assert period.kind != SubscriptionPeriod.Kind.TRIAL
    spans = BillRunEventIndex.objects.filter(line__invoice=invoice)
    ingested = UsageEvent.objects.filter(tenant_id=invoice.tenant_id).count()
    assert sum(span.last_position - span.first_position + 1 for span in spans) <= ingested
    for line in invoice.lines.filter(type=Type.USAGE_FEE):
        _assert_told(line)


def _assert_told(line):
    """Its charges are its amount; what was free is no more than was included and rolled over."""
    charges = line.charges or []
    if charges:
        assert sum(Decimal(charge["amount"]) for charge in charges) == line.exact_amount, line
    terms = line.terms or {}
    free = [Decimal(one["quantity"]) for one in charges if one["label"].startswith("included")]
    assert sum(free) <= Decimal(str(terms.get("includedFree") or 0)), line  # rolled over: beside


def _assert_nobody_else_reads(tenant):
    opening = open_tenant(
        name="Else", currency="USD", time_zone="UTC", country="", actor=_ACTOR,
        now=tenant.created_at,
    )  # fmt: skip
    other = Caller(opening.operator_key)
    for invoice in Invoice.objects.for_tenant(tenant):
        assert other.get(f"/api/v1/invoices/{invoice.pk}").status == 404
        assert other.get(f"/api/v1/invoices/{invoice.pk}/audit-export").status == 404
    for subscription in Subscription.objects.for_tenant(tenant):
        assert other.get(f"/api/v1/subscriptions/{subscription.pk}").status == 404
