"""Exports over HTTP."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from aforo.tenancy.services import audit
from billing.api.answers import ExportView, file_answer
from billing.exports.archive import ZIP
from billing.exports.audit import audit_export
from billing.selectors.invoices import explained_invoices


class AuditExport(ExportView):
    """An invoice with every event behind it, and a program that checks it without us."""

    selector = explained_invoices

    @extend_schema(responses={(200, ZIP): OpenApiTypes.BINARY})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A zip, sent while it is made. The audit log keeps who took it.

        409 EVENTS_ARCHIVED while events of the invoice are in archives.
        """
        invoice = self.get_object()
        pieces = audit_export(invoice)
        audit.record(
            tenant=self.tenant,
            actor=self.actor,
            action="INVOICE_EXPORTED",
            target=invoice,
            now=self.now(),
        )
        return file_answer(pieces, content_type=ZIP, name=f"{invoice}-audit.zip".replace(" ", "-"))
