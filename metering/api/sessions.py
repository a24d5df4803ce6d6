"""Sessions over HTTP: seen, and killed."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy import clock
from aforo.tenancy.roles import USAGE_WRITERS
from catalog.api.fields import ExactField
from metering.ingest.gates import MAX_TEXT
from metering.models import Session
from metering.selectors.sessions import in_state, sessions
from metering.services.sessions import kill_session


class Kill(WireSerializer):
    reason = serializers.CharField(max_length=1000, help_text="why; kept on the record")


class KillByName(Kill):
    session_id = serializers.CharField(
        max_length=MAX_TEXT, trim_whitespace=False, help_text="as the client names it"
    )


class SessionSerializer(WireModelSerializer):
    """Money is exact, in the tenant's currency; `calls` are its events but for heartbeats."""

    state = serializers.SerializerMethodField()
    customer_id = serializers.CharField(
        source="customer_name", help_text="customerId of its events; empty while it has none"
    )

    tokens = ExactField(help_text="of language models, as its events tell them")
    cost = ExactField(help_text="unit costs of its events")
    revenue = ExactField(help_text="what its events added to the price of their totals")

    class Meta:
        model = Session
        fields = (
            "id",
            "session_id",
            "state",
            "customer_id",
            "agent_id",
            "product_type",
            "started_at",
            "last_seen_at",
            "calls",
            "heartbeats",
            "tokens",
            "cost",
            "revenue",
            "closed_at",
            "close_reason",
            "killed_at",
            "killed_by",
            "kill_reason",
            "summed_up_at",
        )
        read_only_fields = fields

    def get_state(self, session: Session) -> Session.State:
        return session.state_at(clock.now(session.tenant))


class SessionFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=Session.State.choices, method="of_state")
    customerId = filters.CharFilter("customer_name")  # noqa: N815  # the names on the wire
    agentId = filters.CharFilter("agent_id")  # noqa: N815
    sessionId = filters.CharFilter("session_id")  # noqa: N815
    killed = filters.BooleanFilter("killed_at", lookup_expr="isnull", exclude=True)
    since = filters.IsoDateTimeFilter("last_seen_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("last_seen_at", lookup_expr="lt")

    def of_state(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return in_state(rows, value, clock.now(self.request.auth.tenant))


class Sessions(TenantListView):
    """Sessions, those seen last first; `since` is included, `until` is not."""

    selector = sessions
    serializer_class = SessionSerializer
    filterset_class = SessionFilter


class SessionDetail(TenantDetailView):
    """One session."""

    selector = sessions
    serializer_class = SessionSerializer


class SessionKill(TenantAPIView):
    """Killing a session that was seen."""

    selector = sessions
    serializer_class = SessionSerializer
    write_roles = USAGE_WRITERS
    replays_answers = False  # again changes nothing, and must again reach every door

    @extend_schema(request=Kill)
    def post(self, request: Request, **path: Any) -> Response:
        """Kill it: the answers to its events name it in `killedSessionIds` from then on."""
        return self.killed(self.get_object().session_id, self.read(Kill)["reason"])

    def killed(self, session_id: str, reason: str) -> Response:
        session = kill_session(
            tenant=self.tenant,
            session_id=session_id,
            reason=reason,
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(session)


class SessionKillByName(SessionKill):
    """Killing a session by the client's own id."""

    @extend_schema(request=KillByName, operation_id="sessions_kill_by_name")
    def post(self, request: Request, **path: Any) -> Response:
        """Kill the session that the client calls `sessionId`, also before anything of it came."""
        asked = self.read(KillByName)
        return self.killed(asked["session_id"], asked["reason"])
