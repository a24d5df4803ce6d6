"""Routes of billing, below /api/v1/."""

from django.urls import path

from billing.api.attribution import LineEvents
from billing.api.bill_runs import BillRunDetail, BillRunExecution, BillRuns
from billing.api.exports import AuditExport, InvoiceExport, InvoiceLineExport
from billing.api.invoice_actions import (
    InvoiceRefresh,
    InvoiceRegeneration,
    InvoiceUncollectible,
    InvoiceVoid,
)
from billing.api.invoices import (
    InvoiceDetail,
    InvoiceFinalization,
    InvoiceHTML,
    InvoicePDF,
    Invoices,
)
from billing.api.previews import InvoiceNow, InvoicePreview
from billing.api.reports import BillRunReconciliation
from billing.api.run_repairs import BillRunCancellation, BillRunFailures, BillRunRetry
from billing.api.simulations import Scenarios, SimulationDetail, Simulations
from billing.api.taxes import InvoiceTaxes, TaxRateDetail, TaxRates

urlpatterns = [
    path("sandbox/scenarios", Scenarios.as_view()),
    path("sandbox/simulations", Simulations.as_view()),
    path("sandbox/simulations/<uuid:id>", SimulationDetail.as_view()),
    path("bill-runs", BillRuns.as_view()),
    path("bill-runs/<uuid:id>", BillRunDetail.as_view()),
    path("bill-runs/<uuid:id>/cancel", BillRunCancellation.as_view()),
    path("bill-runs/<uuid:id>/execute", BillRunExecution.as_view()),
    path("bill-runs/<uuid:id>/failures", BillRunFailures.as_view()),
    path("bill-runs/<uuid:id>/reconciliation", BillRunReconciliation.as_view()),
    path("bill-runs/<uuid:id>/retry", BillRunRetry.as_view()),
    path("invoice-lines/export", InvoiceLineExport.as_view()),
    path("invoices", Invoices.as_view()),
    path("invoices/export", InvoiceExport.as_view()),
    path("invoices/<uuid:id>", InvoiceDetail.as_view()),
    path("invoices/<uuid:id>/audit-export", AuditExport.as_view()),
    path("invoices/<uuid:id>/finalize", InvoiceFinalization.as_view()),
    path("invoices/<uuid:id>/html", InvoiceHTML.as_view()),
    path("invoices/<uuid:id>/lines/<uuid:line_id>/events", LineEvents.as_view()),
    path("invoices/<uuid:id>/mark-uncollectible", InvoiceUncollectible.as_view()),
    path("invoices/<uuid:id>/pdf", InvoicePDF.as_view()),
    path("invoices/<uuid:id>/refresh", InvoiceRefresh.as_view()),
    path("invoices/<uuid:id>/regenerate", InvoiceRegeneration.as_view()),
    path("invoices/<uuid:id>/taxes", InvoiceTaxes.as_view()),
    path("invoices/<uuid:id>/void", InvoiceVoid.as_view()),
    path("subscriptions/<uuid:id>/invoice-now", InvoiceNow.as_view()),
    path("subscriptions/<uuid:id>/invoice-preview", InvoicePreview.as_view()),
    path("tax-rates", TaxRates.as_view()),
    path("tax-rates/<uuid:id>", TaxRateDetail.as_view()),
]
