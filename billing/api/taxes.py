"""The table of tax rates over HTTP, and drafts that wait for an external engine."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import StrictSerializer, WireModelSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from billing.api.fields import PlainField
from billing.api.invoices import InvoiceSerializer
from billing.models import TaxRate
from billing.selectors.invoices import invoices
from billing.taxes import rates
from billing.taxes.settling import ask_again


class TaxRateEdits(StrictSerializer):
    percent = serializers.DecimalField(
        max_digits=15, decimal_places=12, min_value=0, required=False, help_text="19 is 19 %"
    )
    valid_from = serializers.DateField(
        required=False, allow_null=True, help_text="the first day; null: it always was"
    )
    valid_until = serializers.DateField(
        required=False, allow_null=True, help_text="the first day without it; null: no end"
    )


class NewTaxRate(TaxRateEdits):
    name = serializers.CharField(max_length=80, help_text="as the line is called: VAT, GST")
    country = serializers.CharField(min_length=2, max_length=2, help_text="ISO 3166, such as DE")
    region = serializers.CharField(
        max_length=40, allow_blank=True, default="", help_text="empty: the whole country"
    )
    tax_code = serializers.CharField(
        max_length=40, allow_blank=True, default="", help_text="of units and plans; empty: all"
    )
    percent = serializers.DecimalField(
        max_digits=15, decimal_places=12, min_value=0, help_text="19 is 19 %"
    )


class TaxRateSerializer(WireModelSerializer):
    percent = PlainField()

    class Meta:
        model = TaxRate
        fields = (
            "id",
            "name",
            "country",
            "region",
            "tax_code",
            "percent",
            "valid_from",
            "valid_until",
            "created_at",
        )
        read_only_fields = fields


class TaxRateFilter(filters.FilterSet):
    country = filters.CharFilter(lookup_expr="iexact")
    region = filters.CharFilter()
    taxCode = filters.CharFilter("tax_code")  # noqa: N815 - its name on the wire
    name = filters.CharFilter()


class TaxRates(TenantListView):
    """The built-in table of rates."""

    selector = rates.tax_rates
    serializer_class = TaxRateSerializer
    filterset_class = TaxRateFilter

    @extend_schema(request=NewTaxRate, responses={201: TaxRateSerializer})
    def post(self, request: Request) -> Response:
        """Add a rate; one of the same name and place that has no end yet ends where it begins."""
        asked = self.read(NewTaxRate)
        rate = rates.add_rate(tenant=self.tenant, actor=self.actor, now=self.now(), **asked)
        return self.answer(rate, status=201)


class TaxRateDetail(TenantDetailView):
    """One rate."""

    selector = rates.tax_rates
    serializer_class = TaxRateSerializer

    @extend_schema(request=TaxRateEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change a rate; once invoices were made by it, only its end."""
        rate = rates.change_rate(
            rate=self.get_object(),
            edits=self.read(TaxRateEdits),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(rate)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Remove a rate that no invoice was made by."""
        rates.remove_rate(rate=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class InvoiceTaxes(TenantAPIView):
    """The taxes of a draft that waits for an external engine."""

    selector = invoices
    serializer_class = InvoiceSerializer
    replays_answers = False  # asking again is what it is for

    @extend_schema(request=None, responses={202: InvoiceSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Have the engine asked again at once, without waiting for the pause to end."""
        ask_again(invoice=self.get_object(), actor=self.actor, now=self.now())
        return self.answer(self.get_object(), status=202)
