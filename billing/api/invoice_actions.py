"""What is done to invoices over HTTP: voided, made anew, refreshed, given up."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from billing.api.invoices import ExplainedInvoiceSerializer
from billing.api.stages import stages_may_refuse
from billing.selectors.invoices import explained_invoices
from billing.services.invoice_states import mark_uncollectible
from billing.services.regenerating import refresh_invoice, regenerate_invoice
from billing.services.voiding import void_invoice


class Why(WireSerializer):
    reason = serializers.CharField(max_length=2_000, help_text="kept in the audit log")


class Regeneration(WireSerializer):
    auto_finalize = serializers.BooleanField(
        default=False, help_text="issue it, after the days of grace"
    )


class InvoiceAction(TenantAPIView):
    selector = explained_invoices
    serializer_class = ExplainedInvoiceSerializer


class InvoiceVoid(InvoiceAction):
    """Voiding an invoice."""

    @extend_schema(request=Why)
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Void an unpaid invoice: its number stays used, what it billed is unbilled again.

        409 INVOICE_BUILT_UPON when a later invoice has built on it, INVOICE_IS_A_PART for a part
        of a consolidated one, INVOICE_TRANSITION when it is paid. Again changes nothing.
        """
        invoice = self.get_object()
        reason = self.read(Why)["reason"]
        void_invoice(invoice=invoice, reason=reason, actor=self.actor, now=self.now())
        return self.answer(self.get_object())


class InvoiceRegeneration(InvoiceAction):
    """Making an invoice instead of a void one."""

    @extend_schema(request=Regeneration, responses={201: ExplainedInvoiceSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with the invoice that stands instead of a void one: made once, a draft.

        409 INVOICE_NOT_VOID for one that stands itself, INVOICE_BUILT_UPON when later periods have
        been billed without it. 422 STAGE_FAILED names what a stage cannot work with.
        """
        finalize = self.read(Regeneration, may_be_empty=True)["auto_finalize"]
        with stages_may_refuse():
            made = regenerate_invoice(
                invoice=self.get_object(), actor=self.actor, now=self.now(), finalize=finalize
            )
        return self.answer(self.get_queryset().get(pk=made.pk), status=201)


class InvoiceRefresh(InvoiceAction):
    """Reading the usage of a draft again."""

    @extend_schema(request=None)
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Price a draft anew from its totals as they stand now; it keeps its id.

        409 INVOICE_NOT_A_DRAFT for an issued one, INVOICE_BUILT_UPON when a later one stands.
        422 STAGE_FAILED names what a stage cannot work with, and leaves the draft as it was.
        """
        with stages_may_refuse():
            refresh_invoice(invoice=self.get_object(), actor=self.actor, now=self.now())
        return self.answer(self.get_object())


class InvoiceUncollectible(InvoiceAction):
    """Giving up on an invoice."""

    @extend_schema(request=Why)
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Say that an overdue invoice will not be paid. Again changes nothing.

        409 INVOICE_TRANSITION unless it is overdue.
        """
        invoice = self.get_object()
        reason = self.read(Why)["reason"]
        mark_uncollectible(invoice=invoice, reason=reason, actor=self.actor, now=self.now())
        return self.answer(self.get_object())
