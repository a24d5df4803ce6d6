"""What is owed: bill runs, invoices, and the proof of every line."""

from billing.models.bill_runs import BillRun, BillRunItem
from billing.models.carried import CouponUse, RolloverGrant, RolloverUse
from billing.models.invoices import Invoice, InvoiceLine, StageRecord
from billing.models.proof import BillRunEventIndex
from billing.models.simulations import Simulation
from billing.models.taxes import TaxRate

__all__ = [
    "BillRun",
    "BillRunEventIndex",
    "BillRunItem",
    "CouponUse",
    "Invoice",
    "InvoiceLine",
    "RolloverGrant",
    "RolloverUse",
    "Simulation",
    "StageRecord",
    "TaxRate",
]
