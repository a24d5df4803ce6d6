"""The running period of a subscription over HTTP: what it comes to, and invoicing it now."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from aforo.money import minor_units
from billing.api.fields import PlainField
from billing.api.invoices import ExplainedInvoiceSerializer
from billing.api.stages import stages_may_refuse
from billing.models import InvoiceLine
from billing.selectors.invoices import explained_invoices
from billing.services.previews import Preview, preview_invoice
from billing.services.progress import invoice_now
from catalog.selectors.listings import subscriptions


class PreviewCharge(WireSerializer):
    label = serializers.CharField()  # type: ignore[assignment]  # as on the wire
    quantity = PlainField()
    unit_price = PlainField(allow_null=True)
    amount = PlainField()


class PreviewLine(WireSerializer):
    """A line as it would be on the invoice; an adjustment says which earlier period it is of."""

    type = serializers.ChoiceField(InvoiceLine.Type.choices)
    stage = serializers.CharField()
    description = serializers.CharField()
    unit_id = serializers.UUIDField(allow_null=True)
    version_id = serializers.UUIDField(allow_null=True)
    quantity = PlainField(allow_null=True)
    exact_amount = PlainField()
    amount = serializers.SerializerMethodField()
    charges = PreviewCharge(many=True)
    period_start = serializers.DateTimeField(source="late.period_start", default=None)
    period_end = serializers.DateTimeField(source="late.period_end", default=None)

    def get_amount(self, line: Any) -> str:
        return f"{line.amount.amount:.{minor_units(line.amount.currency)}f}"


class PreviewSerializer(WireSerializer):
    """What the invoice of the running period would be now."""

    subscription_id = serializers.UUIDField(source="period.subscription_id")
    period_id = serializers.UUIDField(source="period.id")
    period_start = serializers.DateTimeField(source="facts.period_start")
    period_end = serializers.DateTimeField(source="facts.period_end")
    at = serializers.DateTimeField()
    currency = serializers.CharField(source="facts.currency")
    total = serializers.SerializerMethodField()
    tax_is_pending = serializers.BooleanField(
        source="result.draft.tax_pending", help_text="an external engine says it later"
    )
    lines = PreviewLine(source="result.draft.lines", many=True)
    stages = serializers.JSONField(help_text="what each of the ten stages did")

    def get_total(self, preview: Preview) -> str:
        return f"{preview.result.draft.total():.{minor_units(preview.facts.currency)}f}"


class InvoicePreview(TenantAPIView):
    """The invoice of the running period, of which nothing is written."""

    selector = subscriptions
    serializer_class = PreviewSerializer

    @extend_schema(operation_id="subscriptions_invoice_preview")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What the invoice would be if the running period were billed now, fees of all of it.

        409 NO_RUNNING_PERIOD during a trial, a pause, or after the end.
        """
        with stages_may_refuse():
            preview = preview_invoice(subscription=self.get_object(), now=self.now())
        return entity_response(PreviewSerializer(preview).data)


class InvoiceNow(TenantAPIView):
    """Invoicing usage before the period ends."""

    selector = subscriptions
    serializer_class = ExplainedInvoiceSerializer

    @extend_schema(request=None, responses={201: ExplainedInvoiceSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Issue an invoice of the usage so far; the invoice of the period takes it off again.

        422 NOTHING_TO_INVOICE when no usage is left to ask for, 409 NO_RUNNING_PERIOD when none
        runs.
        """
        with stages_may_refuse():
            made = invoice_now(subscription=self.get_object(), actor=self.actor, now=self.now())
        return self.answer(explained_invoices(tenant=self.tenant).get(pk=made.pk), status=201)
