"""Margins over HTTP, before any period closes."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from aforo.errors import Unreadable
from aforo.money import plain
from aforo.tenancy.models import TenantQuerySet
from catalog.api.fields import missing
from catalog.models import BillableUnit, RatePlan
from catalog.selectors import listings
from metering.margin.arithmetic import Margin
from metering.margin.view import GroupBy, MarginFilter, MarginRow, MarginView, margins, total_of

MOST_ROWS = 1000


class MarginFigures(WireSerializer):
    currency = serializers.CharField()
    revenue = serializers.CharField()
    cost = serializers.CharField()
    profit = serializers.CharField()
    percent = serializers.CharField(allow_null=True, help_text="null: there is no revenue")


class MarginGroup(MarginFigures):
    key = serializers.CharField(help_text="an id, a month or a tag; empty: belongs to none")
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not the option


class UnmatchedCost(WireSerializer):
    """Reported costs of customers who have no subscription in this currency."""

    currency = serializers.CharField()
    amount = serializers.CharField()


class MarginSerializer(WireSerializer):
    as_of = serializers.DateTimeField()
    group_by = serializers.ChoiceField([(one.value, one.value) for one in GroupBy])
    rows = MarginGroup(many=True, help_text=f"the least profit first, at most {MOST_ROWS}")
    total_rows = serializers.IntegerField()
    totals = MarginFigures(many=True, help_text="of all slices, once each")
    unmatched_costs = UnmatchedCost(many=True)


class MarginsView(TenantAPIView):
    """What the running periods bring in and cost."""

    @extend_schema(
        responses=MarginSerializer,
        parameters=[
            OpenApiParameter(
                "groupBy", enum=[one.value for one in GroupBy], description="absent: tenant"
            ),
            OpenApiParameter("customerId", description="id or externalId"),
            OpenApiParameter("metricName"),
            OpenApiParameter("productId", OpenApiTypes.UUID),
            OpenApiParameter("planId", OpenApiTypes.UUID),
            OpenApiParameter("currency"),
        ],
    )
    def get(self, request: Request) -> Response:
        """Margins now by tenant, customer, product, metric, plan, start month or tag."""
        by = self._group_by(request.query_params.get("groupBy", GroupBy.TENANT))
        now = self.now()
        only = self._filter(request)
        found = margins(self.tenant, by=by, now=now, only=only)
        whole = found
        if by == GroupBy.TAG:  # a customer with two tags is in both, but there once
            whole = margins(self.tenant, by=GroupBy.TENANT, now=now, only=only)
        return entity_response(told_margins(found, whole, by=by, now=now))

    def _group_by(self, name: str) -> GroupBy:
        try:
            return GroupBy(name)
        except ValueError:
            known = ", ".join(one.value for one in GroupBy)
            raise Unreadable.naming("groupBy", "INVALID", f"is one of {known}") from None

    def _filter(self, request: Request) -> MarginFilter:
        asked = request.query_params
        tenant = self.tenant
        customers = listings.customers(tenant=tenant)
        units = BillableUnit.objects.for_tenant(tenant)
        product_id, plan_id = _uuid(request, "productId"), _uuid(request, "planId")
        unit_ids = None
        if name := asked.get("metricName"):
            unit_ids = _ids(units.filter(name=name), "metricName", name)
        if product_id:
            of_product = _ids(units.filter(products=product_id), "productId", product_id)
            unit_ids = of_product if unit_ids is None else unit_ids & of_product
        return MarginFilter(
            customer_ids=self._customers(customers, asked.get("customerId")),
            unit_ids=unit_ids,
            plan_ids=_ids(RatePlan.objects.for_tenant(tenant).filter(pk=plan_id), "planId", plan_id)
            if plan_id
            else None,
            currency=asked.get("currency", ""),
        )

    def _customers(self, customers: Any, name: str | None) -> Collection[UUID] | None:
        if not name:
            return None
        condition: Q = listings.customer_called(name)
        return _ids(customers.filter(condition), "customerId", name)


def told_margins(
    found: MarginView, whole: MarginView, *, by: GroupBy, now: datetime
) -> dict[str, Any]:
    """Margins as they are answered; `whole` holds every slice once."""
    totals = total_of(whole.rows)
    return {
        "asOf": now,
        "groupBy": by.value,
        "rows": [_group(row) for row in found.rows[:MOST_ROWS]],
        "totalRows": len(found.rows),
        "totals": [_figures(currency, totals[currency]) for currency in sorted(totals)],
        "unmatchedCosts": [
            {"currency": currency, "amount": plain(amount)}
            for currency, amount in found.unmatched.items()
        ],
    }


def _group(row: MarginRow) -> dict[str, Any]:
    return {"key": row.key, "label": row.label, **_figures(row.currency, row.margin)}


def _figures(currency: str, margin: Margin) -> dict[str, Any]:
    return {
        "currency": currency,
        "revenue": plain(margin.revenue),
        "cost": plain(margin.cost),
        "profit": plain(margin.profit),
        "percent": None if margin.percent is None else plain(margin.percent),
    }


def _uuid(request: Request, name: str) -> UUID | None:
    text = request.query_params.get(name)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Unreadable.naming(name, "INVALID", f"'{text}' is no id") from None


def _ids(rows: TenantQuerySet, field: str, said: object) -> set[UUID]:
    """The ids of what was named; NotFound when nothing is called so."""
    found = set(rows.values_list("pk", flat=True))
    if not found:
        raise missing(field, said)
    return found
