"""Dead letters over HTTP: found, edited, replayed and discarded, one by one or by the thousand."""

from typing import Any, ClassVar

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.newest_first import NewestFirst
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy.roles import CATALOG_WRITERS, USAGE_WRITERS
from metering.api import letter_serializers as wire
from metering.models import DeadLetter, LetterDecision
from metering.selectors import letters as selectors
from metering.services import letter_decisions, letters
from metering.services.units_from_letters import create_unit_and_replay

Act = LetterDecision.Act


class LetterFilter(filters.FilterSet):
    code = filters.CharFilter()
    metric = filters.CharFilter()
    customer = filters.CharFilter()
    status = filters.ChoiceFilter(choices=DeadLetter.Status.choices)
    source = filters.CharFilter()
    batchId = filters.UUIDFilter("batch_id")  # noqa: N815  # the name on the wire
    receivedFrom = filters.IsoDateTimeFilter("received_at", lookup_expr="gte")  # noqa: N815
    receivedUntil = filters.IsoDateTimeFilter("received_at", lookup_expr="lt")  # noqa: N815


class DeadLetters(TenantListView):
    """Refused events, newest first; `receivedUntil` is not included."""

    selector = selectors.letters
    serializer_class = wire.DeadLetterSerializer
    filterset_class = LetterFilter
    pagination_class = NewestFirst

    def get_queryset(self) -> Any:
        return super().get_queryset().defer("event", "edited")


class DeadLetterSummary(TenantAPIView):
    """What is open, by code and metric."""

    selector = selectors.letters
    serializer_class = wire.LetterSummarySerializer

    @extend_schema(operation_id="dead_letters_summary", responses=wire.LetterSummarySerializer)
    def get(self, request: Request) -> Response:
        return entity_response(
            wire.LetterSummarySerializer(selectors.summary(tenant=self.tenant)).data
        )


class DeadLetterDetail(TenantDetailView):
    """One refused event, whole, and why it was refused."""

    selector = selectors.letters
    serializer_class = wire.WholeDeadLetterSerializer
    write_roles = USAGE_WRITERS

    @extend_schema(request=wire.LetterEdit)
    def patch(self, request: Request, **path: Any) -> Response:
        """Say what a replay sends instead; 422 when the door would refuse it."""
        letter = self.get_object()
        asked = self.read(wire.LetterEdit)
        return self.answer(
            letters.edit_letter(letter=letter, actor=self.actor, now=self.now(), **asked)
        )


class DeadLetterReplay(TenantAPIView):
    """Sending one letter's events again."""

    selector = selectors.letters
    serializer_class = wire.WholeDeadLetterSerializer
    write_roles = USAGE_WRITERS

    @extend_schema(request=wire.LetterReplay, responses={202: wire.WholeDeadLetterSerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Send its events again, once; `replayBatchId` says what became of them."""
        letter = self.get_object()
        asked = self.read(wire.LetterReplay, may_be_empty=True)
        replayed = letters.replay_letter(letter=letter, actor=self.actor, now=self.now(), **asked)
        return self.answer(replayed, status=202)


class DeadLetterDiscard(TenantAPIView):
    """Deciding that one letter's events will never count."""

    selector = selectors.letters
    serializer_class = wire.WholeDeadLetterSerializer
    write_roles = USAGE_WRITERS

    @extend_schema(request=wire.LetterDiscard)
    def post(self, request: Request, **path: Any) -> Response:
        letter = self.get_object()
        asked = self.read(wire.LetterDiscard)
        return self.answer(
            letters.discard_letter(letter=letter, actor=self.actor, now=self.now(), **asked)
        )


class _Decision(TenantAPIView):
    """A decision about many letters: begun at once, finished by a worker."""

    selector = selectors.decisions
    serializer_class = wire.LetterDecisionSerializer
    write_roles = USAGE_WRITERS
    act: ClassVar[Act]

    def decide(self, asked: dict[str, Any]) -> Response:
        decision = letter_decisions.decide_now(
            tenant=self.tenant,
            act=self.act,
            chosen=wire.chosen_of(asked),
            actor=self.actor,
            now=self.now(),
            reason=asked.get("reason", ""),
        )
        return self.answer(decision, status=202)


class DeadLettersReplay(_Decision):
    act = Act.REPLAY

    @extend_schema(
        operation_id="dead_letters_replay_many",
        request=wire.ChosenLetters,
        responses={202: wire.LetterDecisionSerializer},
    )
    def post(self, request: Request) -> Response:
        """Replay all open letters that are chosen; `GET` the decision to see how far it is."""
        return self.decide(self.read(wire.ChosenLetters))


class DeadLettersDiscard(_Decision):
    act = Act.DISCARD

    @extend_schema(
        operation_id="dead_letters_discard_many",
        request=wire.LettersToDiscard,
        responses={202: wire.LetterDecisionSerializer},
    )
    def post(self, request: Request) -> Response:
        """Discard all open letters that are chosen, with one reason."""
        return self.decide(self.read(wire.LettersToDiscard))


class UnitForLetters(TenantAPIView):
    """The unit that refused events wanted."""

    selector = selectors.decisions
    serializer_class = wire.UnitMade
    write_roles = CATALOG_WRITERS

    @extend_schema(
        operation_id="dead_letters_create_unit",
        request=wire.UnitFromLetters,
        responses={202: wire.UnitMade},
    )
    def post(self, request: Request) -> Response:
        """Create a billable unit for an unknown metric, and replay what was refused for it."""
        unit = self.read(wire.UnitFromLetters)
        metric, reason = unit.pop("metric"), unit.pop("reason", "")
        made = create_unit_and_replay(
            tenant=self.tenant,
            metric=metric,
            unit=unit,
            actor=self.actor,
            now=self.now(),
            reason=reason,
        )
        made.decision.unit_id = made.unit.pk  # type: ignore[attr-defined]  # shown beside it
        return self.answer(made.decision, status=202)


class LetterDecisions(TenantListView):
    """What was decided about many letters at once, newest first."""

    selector = selectors.decisions
    serializer_class = wire.LetterDecisionSerializer
    pagination_class = NewestFirst


class LetterDecisionDetail(TenantDetailView):
    """How far one decision is."""

    selector = selectors.decisions
    serializer_class = wire.LetterDecisionSerializer
