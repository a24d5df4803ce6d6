"""Margin guards over HTTP: made, rehearsed, changed, retired; and what they decided."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.newest_first import NewestFirst
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy.models import TenantQuerySet
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.api.contracts import customer_called
from catalog.api.fields import found, missing
from catalog.models import BillableUnit, RatePlan
from catalog.selectors import listings
from metering.api.guard_shapes import (
    CustomerTags,
    GuardDecisionSerializer,
    GuardEdits,
    GuardSerializer,
    MarginStateSerializer,
    NewGuard,
    RehearsalSerializer,
    told_rehearsal,
)
from metering.models import MarginGuard, MarginLevel
from metering.selectors.guards import guard_decisions, guards, margin_states, tags_of
from metering.services import guards as services

GUARD_WRITERS = CATALOG_WRITERS | WRITERS


class GuardFilter(filters.FilterSet):
    code = filters.CharFilter()
    scope = filters.ChoiceFilter(choices=MarginGuard.Scope.choices)
    mode = filters.ChoiceFilter(choices=MarginGuard.Mode.choices)
    active = filters.BooleanFilter("is_active")
    archived = filters.BooleanFilter("archived_at", lookup_expr="isnull", exclude=True)


class _Held(filters.FilterSet):
    guardId = filters.UUIDFilter("guard_id")  # noqa: N815 - its name on the wire
    level = filters.ChoiceFilter(choices=MarginLevel.choices)
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815

    def of_customer(self, rows: TenantQuerySet, field: str, name: str) -> TenantQuerySet:
        return rows.filter(listings.customer_called(name, "customer__"))


class _GuardView(TenantAPIView):
    selector = guards
    serializer_class = GuardSerializer
    write_roles = GUARD_WRITERS

    def edits(self, asked: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Fields and floors as the service takes them; what they name is the tenant's own."""
        edits = dict(asked)
        plans = RatePlan.objects.for_tenant(self.tenant)
        if "metric_name" in edits:
            edits["unit"] = self._unit(edits.pop("metric_name"))
        if "plan_id" in edits:
            plan_id = edits.pop("plan_id")
            edits["rate_plan"] = None if plan_id is None else found(plans, plan_id, field="planId")
        if "customer_id" in edits:
            name = edits.pop("customer_id")
            edits["customer"] = customer_called(self, name) if name else None
        if "cohort" in edits:
            edits["cohort"] = edits["cohort"] or ""
        floors = edits.pop("floors", None)
        if floors is not None:
            floors = {
                found(plans, floor["plan_id"], field="floors.planId"): floor["percent"]
                for floor in floors
            }
        return edits, floors

    def _unit(self, name: str | None) -> BillableUnit | None:
        if name is None:
            return None
        rows = BillableUnit.objects.for_tenant(self.tenant).filter(name=name)
        unit: BillableUnit | None = rows.first()
        if unit is None:
            raise missing("metricName", name)
        return unit

    def fresh(self, guard: MarginGuard, *, status: int = 200) -> Response:
        return self.answer(self.get_queryset().get(pk=guard.pk), status=status)


class Guards(_GuardView, TenantListView):
    """Whose margins are watched, and how far they may fall."""

    filterset_class = GuardFilter

    @extend_schema(request=NewGuard, responses={201: GuardSerializer})
    def post(self, request: Request) -> Response:
        """Make a guard; it is in force within 30 seconds."""
        edits, floors = self.edits(self.read(NewGuard))
        guard = services.create_guard(
            guard=MarginGuard(tenant=self.tenant, **edits),
            floors=floors,
            actor=self.actor,
            now=self.now(),
        )
        return self.fresh(guard, status=201)


class GuardPreview(_GuardView):
    """A guard that is not there yet."""

    replays_answers = False

    @extend_schema(request=NewGuard, responses=RehearsalSerializer)
    def post(self, request: Request) -> Response:
        """What such a guard would have done over the last 30 days; nothing is stored."""
        edits, floors = self.edits(self.read(NewGuard))
        now = self.now()
        guard = MarginGuard(tenant=self.tenant, created_at=now, **edits)
        rehearsal = services.preview_guard(guard=guard, floors=floors, now=now)
        return entity_response(told_rehearsal(rehearsal))


class GuardDetail(_GuardView, TenantDetailView):
    """One margin guard."""

    @extend_schema(request=GuardEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change it, within 30 seconds for everybody; floors are said all anew."""
        guard = self.get_object()
        edits, floors = self.edits(self.read(GuardEdits))
        guard = services.edit_guard(
            guard=guard, edits=edits, floors=floors, actor=self.actor, now=self.now()
        )
        return self.fresh(guard)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Retire it: whom it holds is let go; what it decided stays."""
        services.archive_guard(guard=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class MarginStates(TenantListView):
    """Customers whom a guard has held, and where they stand."""

    selector = margin_states
    serializer_class = MarginStateSerializer
    filterset_class = _Held


class GuardDecisions(TenantListView):
    """Every decision that was no plain yes, newest first."""

    selector = guard_decisions
    serializer_class = GuardDecisionSerializer
    filterset_class = _Held
    pagination_class = NewestFirst


class CustomerTagging(TenantAPIView):
    """The tags that put a customer into cohorts."""

    selector = listings.customers
    serializer_class = CustomerTags
    write_roles = GUARD_WRITERS

    @extend_schema(responses=CustomerTags)
    def get(self, request: Request, **path: Any) -> Response:
        """The customer's tags, sorted."""
        kept = tags_of(self.tenant.pk, [self.get_object().pk])
        return entity_response({"tags": sorted(tag for found in kept.values() for tag in found)})

    @extend_schema(request=CustomerTags, responses=CustomerTags)
    def put(self, request: Request, **path: Any) -> Response:
        """Say anew which tags the customer has."""
        customer = self.get_object()
        tags = self.read(CustomerTags)["tags"]
        kept = services.tag_customer(customer=customer, tags=tags, actor=self.actor, now=self.now())
        return entity_response({"tags": kept})
