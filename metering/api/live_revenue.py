"""Live revenue over HTTP: for pages that ask again every half a minute."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from aforo.errors import NotFound, Unreadable
from aforo.money import plain
from catalog.models import Customer
from catalog.selectors.listings import customer_called
from metering.selectors.revenue import HOUR, MOST_GROUPS, LiveRevenue, Revenue
from metering.selectors.revenue_groups import GroupBy
from metering.selectors.revenue_kept import revenue_told

STALE_AFTER = 30  # seconds
GROUPS = 100  # unless more are asked for


class TodayRevenue(WireSerializer):
    amount = serializers.CharField(help_text="since midnight in the tenant's time zone")
    yesterday = serializers.CharField(help_text="until the same time of day")


class PeriodRevenue(WireSerializer):
    amount = serializers.CharField(help_text="of the periods that run, so far")
    last_period = serializers.CharField(help_text="of the periods before, to the same point")


class ProjectedRevenue(WireSerializer):
    amount = serializers.CharField(help_text="at the ends of the periods, if usage goes on so")
    is_upper_bound = serializers.BooleanField(
        help_text="whether tiers make usage cheaper on the way there"
    )


class HourOfRevenue(WireSerializer):
    hour = serializers.DateTimeField()
    amount = serializers.CharField()


class RevenueGroup(WireSerializer):
    """One group in one currency; amounts are exact prices of usage, without fees."""

    key = serializers.CharField(help_text="an id or a text; empty: what belongs to none")
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not the option
    currency = serializers.CharField()
    today = TodayRevenue()
    period = PeriodRevenue()
    projection = ProjectedRevenue()
    sparkline = HourOfRevenue(many=True, help_text="24 hours, the one under way last")


class LiveRevenueAnswer(WireSerializer):
    as_of = serializers.DateTimeField(help_text="on the tenant's clock")
    stale_after = serializers.IntegerField(help_text="seconds after which to ask again")
    time_zone = serializers.CharField()
    group_by = serializers.ChoiceField([(one.value, one.value) for one in GroupBy])
    total_groups = serializers.IntegerField(help_text="of which the largest are told")
    groups = RevenueGroup(many=True)


class LiveRevenueView(TenantAPIView):
    """What usage brings in today, in this period and by its end."""

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "groupBy", enum=[one.value for one in GroupBy], description="absent: tenant"
            ),
            OpenApiParameter("customerId", description="of this customer alone"),
            OpenApiParameter("limit", int, description=f"groups, at most {MOST_GROUPS}"),
        ],
        responses=LiveRevenueAnswer,
    )
    def get(self, request: Request) -> Response:
        by = self._group_by(request.query_params.get("groupBy", GroupBy.TENANT))
        limit = self._limit(request.query_params.get("limit", str(GROUPS)))
        found = revenue_told(
            tenant=self.tenant,
            now=timezone.now(),
            by=by,
            customer_id=self._customer(request.query_params.get("customerId")),
            most=limit,
        )
        return entity_response(told_revenue(found, by, self.tenant.time_zone))

    def _group_by(self, name: str) -> GroupBy:
        try:
            return GroupBy(name)
        except ValueError:
            known = ", ".join(GroupBy)
            raise Unreadable.naming("groupBy", "INVALID", f"is one of {known}") from None

    def _customer(self, name: str | None) -> Any:
        if name is None:
            return None
        found = Customer.objects.for_tenant(self.tenant).filter(customer_called(name)).first()
        if found is None:
            raise NotFound(f"there is no customer {name!r}")
        return found.pk

    def _limit(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_GROUPS):
            raise Unreadable.naming("limit", "INVALID", f"is a number from 1 to {MOST_GROUPS}")
        return int(text)


def told_revenue(found: LiveRevenue, by: GroupBy, time_zone: str) -> dict[str, Any]:
    """Live revenue as it is answered."""
    return {
        "asOf": found.as_of,
        "staleAfter": STALE_AFTER,
        "timeZone": time_zone,
        "groupBy": by.value,
        "totalGroups": found.total,
        "groups": [_told(row, found) for row in found.rows],
    }


def _told(row: Revenue, found: LiveRevenue) -> dict[str, Any]:
    return {
        "key": row.key,
        "label": row.label,
        "currency": row.currency,
        "today": {"amount": plain(row.today), "yesterday": plain(row.yesterday)},
        "period": {"amount": plain(row.period), "lastPeriod": plain(row.last_period)},
        "projection": {"amount": plain(row.projection), "isUpperBound": row.is_upper_bound},
        "sparkline": [
            {"hour": found.first_hour + number * HOUR, "amount": plain(amount)}
            for number, amount in enumerate(row.hours)
        ],
    }
