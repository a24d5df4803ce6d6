"""The admin of billing: runs, invoices and their proof, to be read; drafts may be finalized."""

from billing.admin.bill_runs import BillRunAdmin, BillRunItemAdmin
from billing.admin.invoices import InvoiceAdmin
from billing.admin.proof import BillRunEventIndexAdmin, InvoiceLineAdmin, StageRecordAdmin
from billing.admin.simulations import SimulationAdmin
from billing.admin.taxes import TaxRateAdmin

__all__ = [
    "BillRunAdmin",
    "BillRunEventIndexAdmin",
    "BillRunItemAdmin",
    "InvoiceAdmin",
    "InvoiceLineAdmin",
    "SimulationAdmin",
    "StageRecordAdmin",
    "TaxRateAdmin",
]
