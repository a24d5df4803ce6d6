"""What is owed: bill runs, invoices, and the proof of every line."""

from billing.models.bill_runs import BillRun, BillRunItem
from billing.models.invoices import Invoice, InvoiceLine, StageRecord
from billing.models.proof import BillRunEventIndex

__all__ = [
    "BillRun",
    "BillRunEventIndex",
    "BillRunItem",
    "Invoice",
    "InvoiceLine",
    "StageRecord",
]
