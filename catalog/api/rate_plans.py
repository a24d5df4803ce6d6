"""Rate plans over HTTP.

A POST publishes version 1 at once, because clients put a new plan straight into an offering;
`"status": "DRAFT"` keeps it a draft until `/publish`.
"""

from typing import Any

from django.db import transaction
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Conflict
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.api.fields import found_all
from catalog.api.metric_configs import price_drafts
from catalog.api.rate_plan_serializers import (
    DRAFT,
    NewRatePlan,
    RatePlanEdits,
    RatePlanSerializer,
)
from catalog.models import RatePlan, RatePlanVersion
from catalog.selectors import listings
from catalog.selectors.current import draft_of, latest_published
from catalog.services import rate_plans
from catalog.services.version_terms import VERSION_FIELDS


class RatePlanFilter(filters.FilterSet):
    name = filters.CharFilter(lookup_expr="icontains")
    currency = filters.CharFilter()
    archived = filters.BooleanFilter("archived_at", lookup_expr="isnull", exclude=True)


class RatePlanView(TenantAPIView):
    """What the views of rate plans share."""

    selector = listings.rate_plans
    serializer_class = RatePlanSerializer
    write_roles = CATALOG_WRITERS

    def answer_again(self, plan: RatePlan, *, status: int = 200) -> Response:
        """The plan as it is now, read whole once more."""
        return self.answer(self.get_queryset().get(pk=plan.pk), status=status)


class RatePlans(RatePlanView, TenantListView):
    """The tenant's rate plans."""

    filterset_class = RatePlanFilter

    @extend_schema(request=NewRatePlan, responses={201: RatePlanSerializer})
    def post(self, request: Request) -> Response:
        """Create a plan and, unless its status is DRAFT, publish its version 1."""
        asked = self.read(NewRatePlan)
        status = asked.pop("status")
        asked.pop("pricing_model", None)
        now = self.now()
        with transaction.atomic():
            version = rate_plans.create_rate_plan(
                tenant=self.tenant,
                actor=self.actor,
                now=now,
                price_drafts=price_drafts(self.tenant, asked.pop("metric_configs", [])),
                products=products_of(self, asked) or [],
                **{"currency": self.tenant.currency, **asked},
            )
            if status != DRAFT:
                rate_plans.publish_version(version=version, actor=self.actor, now=now)
        return self.answer_again(version.rate_plan, status=201)


class RatePlanSearch(RatePlanView, TenantListView):
    """The tenant's rate plans by a part of their name."""

    filterset_class = RatePlanFilter


class RatePlanDetail(RatePlanView, TenantDetailView):
    """One rate plan."""

    @extend_schema(request=RatePlanEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change names at any time, and prices of the draft; a published version never changes."""
        plan, asked, now = self.get_object(), self.read(RatePlanEdits), self.now()
        owners = products_of(self, asked)
        configs = asked.pop("metric_configs", None)
        currencies = asked.pop("currencies", None)
        fees = {name: asked.pop(name) for name in VERSION_FIELDS if name in asked}
        with transaction.atomic():
            rate_plans.edit_plan(plan=plan, edits=asked, products=owners, actor=self.actor, now=now)
            if fees or configs is not None or currencies is not None:
                rate_plans.edit_draft(
                    version=draft_to_edit(plan),
                    actor=self.actor,
                    now=now,
                    fees=fees,
                    price_drafts=None if configs is None else price_drafts(self.tenant, configs),
                    currencies=currencies,
                )
        return self.answer_again(plan)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Archive the plan; 409 while an active offering sells it."""
        rate_plans.archive_plan(plan=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class RatePlanVersions(RatePlanView):
    """A plan's versions."""

    @extend_schema(request=None, responses={201: RatePlanSerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Begin a draft as a copy of the latest published version."""
        plan = self.get_object()
        rate_plans.draft_next_version(plan=plan, actor=self.actor, now=self.now())
        return self.answer_again(plan, status=201)


class RatePlanPublication(RatePlanView):
    """Publishing a plan's draft."""

    @extend_schema(request=None)
    def post(self, request: Request, **path: Any) -> Response:
        """Publish the draft; again, or without one, the plan is answered as it stands."""
        plan = self.get_object()
        draft = draft_of(plan)
        if draft is not None:
            rate_plans.publish_version(version=draft, actor=self.actor, now=self.now())
        return self.answer_again(plan)


def draft_to_edit(plan: RatePlan) -> RatePlanVersion:
    """The draft whose prices a PATCH changes; Conflict when the plan has none."""
    draft = draft_of(plan)
    if draft is None:
        raise Conflict(
            f"version {getattr(latest_published(plan), 'number', 0)} of plan '{plan}' is published"
            " and never changes: begin a new version first"
        )
    return draft


def products_of(view: RatePlanView, asked: dict[str, Any]) -> list[Any] | None:
    """The products that `productIds` names; None when the body does not say."""
    ids = asked.pop("product_ids", None)
    if ids is None:
        return None
    return found_all(listings.products(tenant=view.tenant), ids, field="productIds")
