"""Bill runs over HTTP: made, executed, watched."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView, TenantListView
from aforo.errors import FieldError, Refused
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from billing.api.fields import named
from billing.models import BillRun
from billing.selectors.bill_runs import Progress, bill_runs, failures_of, progress_by_run
from billing.services.bill_runs import create_run, execute_run
from catalog.models import Customer, Offering, Subscription
from catalog.services.sales import require_in_reach

_MILLISECOND = 1_000


class NewBillRun(WireSerializer):
    """Bills what ends in (billingPeriodStart, billingPeriodEnd] and is past."""

    billing_period_start = serializers.DateTimeField(help_text="exclusive")
    billing_period_end = serializers.DateTimeField(help_text="inclusive")
    billing_period_label = serializers.CharField(max_length=120, default="", allow_blank=True)
    target_scope = serializers.ChoiceField(BillRun.Scope.choices, default=BillRun.Scope.ALL)
    target_id = serializers.CharField(
        max_length=200,
        required=False,
        allow_null=True,
        help_text="id of what the scope names; also a customer's externalId, an offering's code",
    )
    auto_finalize = serializers.BooleanField(default=False)
    environment = serializers.ChoiceField(
        ["LIVE", "TEST"], required=False, help_text="the key decides; it must agree"
    )
    notes = serializers.CharField(max_length=10_000, default="", allow_blank=True)


class BillRunFailure(WireSerializer):
    """One period that could not be billed, and the stage that could not do it."""

    period_id = serializers.UUIDField()
    period_start = serializers.DateTimeField(source="period.start_at")
    period_end = serializers.DateTimeField(source="period.end_at")
    subscription_id = serializers.UUIDField(source="period.subscription_id")
    customer_id = serializers.CharField(source="period.subscription.customer.external_id")
    stage = serializers.CharField(source="failed_stage")
    error = serializers.CharField()


class BillRunSerializer(WireSerializer):
    """A run and how far it has come. COMPLETED, FAILED and PARTIALLY_FAILED are final."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(BillRun.Status.choices)
    billing_period_start = serializers.DateTimeField(source="window_start")
    billing_period_end = serializers.DateTimeField(source="window_end")
    billing_period_label = serializers.CharField(source="label")
    target_scope = serializers.ChoiceField(BillRun.Scope.choices, source="scope")
    target_id = serializers.UUIDField(source="scope_id", allow_null=True)
    auto_finalize = serializers.BooleanField()
    environment = serializers.SerializerMethodField()
    notes = serializers.CharField()
    invoices_generated = serializers.SerializerMethodField()
    invoices_failed = serializers.SerializerMethodField()
    customers_processed = serializers.SerializerMethodField()
    progress_pct = serializers.SerializerMethodField()
    duration_ms = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)

    def get_environment(self, run: BillRun) -> str:
        return _environment(run.tenant)

    def get_invoices_generated(self, run: BillRun) -> int:
        return self._progress(run).billed

    def get_invoices_failed(self, run: BillRun) -> int:
        return self._progress(run).failed

    def get_customers_processed(self, run: BillRun) -> int:
        return self._progress(run).customers

    def get_progress_pct(self, run: BillRun) -> int:
        return 100 if run.completed_at else self._progress(run).percent

    def get_duration_ms(self, run: BillRun) -> int | None:
        if run.started_at is None or run.completed_at is None:
            return None
        return round((run.completed_at - run.started_at).total_seconds() * _MILLISECOND)

    def _progress(self, run: BillRun) -> Progress:
        progress: dict[UUID, Progress] = self.context["progress"]
        return progress.get(run.id, Progress())


class BillRunDetailSerializer(BillRunSerializer):
    failures = serializers.SerializerMethodField(
        help_text="the first hundred; all of them are below /failures"
    )

    @extend_schema_field(BillRunFailure(many=True))
    def get_failures(self, run: BillRun) -> Any:
        return BillRunFailure(failures_of(run), many=True).data


class BillRunFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=BillRun.Status.choices)


class BillRuns(TenantListView):
    """The tenant's bill runs, newest first."""

    selector = bill_runs
    serializer_class = BillRunSerializer
    filterset_class = BillRunFilter

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        runs = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(_shown(BillRunSerializer, runs))

    @extend_schema(request=NewBillRun, responses={201: BillRunDetailSerializer})
    def post(self, request: Request) -> Response:
        """Make a run; it bills nothing before it is executed.

        409 BILL_RUN_CONFLICT while another run with an overlapping window has not finished.
        """
        asked = self.read(NewBillRun)
        own = _environment(self.tenant)
        if asked.get("environment", own) != own:
            reason = f"tenant '{self.tenant}' is {own}: its key cannot bill elsewhere"
            raise Refused.naming("environment", "MISMATCH", reason)
        for name in ("billing_period_start", "billing_period_end"):
            require_in_reach(asked[name], on_the_wire(name))
        run = create_run(
            tenant=self.tenant,
            window_start=asked["billing_period_start"],
            window_end=asked["billing_period_end"],
            label=asked["billing_period_label"],
            scope=asked["target_scope"],
            scope_id=_target(self.tenant, asked["target_scope"], asked.get("target_id")),
            auto_finalize=asked["auto_finalize"],
            notes=asked["notes"],
            actor=self.actor,
            now=timezone.now(),
        )
        return shown_run(run, status=201)


class BillRunDetail(TenantAPIView):
    """One run."""

    selector = bill_runs
    serializer_class = BillRunDetailSerializer

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return shown_run(self.get_object())


class BillRunExecution(TenantAPIView):
    """Starting a run."""

    selector = bill_runs
    serializer_class = BillRunDetailSerializer
    replays_answers = False  # a run starts once however often it is asked for

    @extend_schema(request=None, responses={202: BillRunDetailSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Start the run and answer at once; `GET` says how far it has come."""
        run = execute_run(run=self.get_object(), actor=self.actor, now=timezone.now())
        return shown_run(run, status=202)


def _environment(tenant: Tenant) -> str:
    return "TEST" if tenant.is_sandbox else "LIVE"


def _target(tenant: Tenant, scope: str, value: str | None) -> UUID | None:
    """The id of what a scope narrows the run down to; None for ALL."""
    if scope == BillRun.Scope.ALL:
        return None
    kinds: dict[str, tuple[Any, str]] = {
        BillRun.Scope.CUSTOMER: (Customer, "external_id"),
        BillRun.Scope.SUBSCRIPTION: (Subscription, "id"),
        BillRun.Scope.OFFERING: (Offering, "code"),
    }
    model, column = kinds[scope]
    rows: QuerySet[Any] = model.objects.for_tenant(tenant)
    ids = rows.filter(named(value or "", by=column)).values_list("id", flat=True)
    found: UUID | None = ids.first()
    if found is None:
        reason = f"there is no {scope.lower()} '{value or ''}'"
        raise Refused(reason, errors=(FieldError("targetId", "NOT_FOUND", reason),))
    return found


def shown_run(run: BillRun, *, status: int = 200) -> Response:
    """The answer about one run, with its progress and its first failures."""
    (fields,) = _shown(BillRunDetailSerializer, [run])
    return entity_response(fields, status=status)


def _shown(serializer_class: type[BillRunSerializer], runs: Iterable[BillRun] | None) -> Any:
    """Runs with their progress, which is read for all of them at once."""
    listed = list(runs or ())
    context = {"progress": progress_by_run(listed)}
    return serializer_class(listed, many=True, context=context).data
