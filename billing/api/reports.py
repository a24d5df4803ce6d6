"""Reports about bill runs over HTTP."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.money import minor_units
from billing.api.answers import JSON, FileView, asked_format
from billing.downloads import reconciliation_response
from billing.exports.reconciliation import Invoiced, invoiced_by, reconciliation_of
from billing.selectors.bill_runs import bill_runs


class InvoicedSerializer(WireSerializer):
    currency = serializers.CharField()
    status = serializers.CharField()
    invoices = serializers.IntegerField()
    total = serializers.SerializerMethodField()

    def get_total(self, invoiced: Invoiced) -> str:
        return f"{invoiced.total:.{minor_units(invoiced.currency)}f}"


class ReconciliationSerializer(WireSerializer):
    """Events received in the run's window, by where they are now; `difference` must be zero."""

    bill_run_id = serializers.UUIDField()
    window_start = serializers.DateTimeField(help_text="exclusive, by time of receipt")
    window_end = serializers.DateTimeField(help_text="inclusive")
    received = serializers.IntegerField()
    billed = serializers.IntegerField(help_text="on an invoice, at a price")
    free = serializers.IntegerField(help_text="on an invoice, without adding to the price")
    late = serializers.IntegerField(help_text="on an adjustment to their period")
    open = serializers.IntegerField(help_text="counted, and their period not billed yet")
    unbilled = serializers.IntegerField(help_text="that nobody's price applies to")
    duplicates = serializers.IntegerField()
    dead = serializers.IntegerField(help_text="dead letters, discarded ones too")
    held = serializers.IntegerField(help_text="waiting for a decision")
    waived = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text="in the inbox")
    difference = serializers.IntegerField()
    balances = serializers.BooleanField()
    invoiced = InvoicedSerializer(many=True)


class BillRunReconciliation(FileView):
    """What became of everything that came in during a run's window."""

    selector = bill_runs

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=["json", "csv"])],
        responses={
            (200, "application/json"): ReconciliationSerializer,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        run = self.get_object()
        found = reconciliation_of(run)
        if asked_format(request, (JSON, "csv"), default=JSON) == "csv":
            return reconciliation_response(run, found)
        shown = {
            "bill_run_id": run.pk,
            "window_start": run.window_start,
            "window_end": run.window_end,
            "received": found.received,
            **dict(found.places),
            "difference": found.difference,
            "balances": found.balances,
            "invoiced": invoiced_by(run),
        }
        return entity_response(ReconciliationSerializer(shown).data)
