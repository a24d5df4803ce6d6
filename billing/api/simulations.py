"""Simulations over HTTP: scenarios asked for, and what came of them."""

from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Refused
from aforo.tenancy.roles import SIMULATORS
from billing.models import Simulation
from billing.selectors.simulations import simulations
from billing.simulations import library
from billing.simulations.requests import ask_for_simulation, progress_of
from billing.simulations.scenario import SEEDS


class NewSimulation(WireSerializer):
    """Either the name of a scenario that comes with Aforo, or a whole scenario."""

    name = serializers.CharField(max_length=200, required=False)
    scenario = serializers.DictField(required=False, help_text="see docs/simulations.md")
    seed = serializers.IntegerField(
        required=False,
        min_value=SEEDS[0],
        max_value=SEEDS[1],
        help_text="instead of the scenario's own",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("name" in attrs) == ("scenario" in attrs):
            raise Refused.naming("scenario", "AMBIGUOUS", "name a scenario or send one")
        return attrs


class SimulationSerializer(WireModelSerializer):
    progress = serializers.SerializerMethodField()

    class Meta:
        model = Simulation
        fields = (
            "id",
            "name",
            "seed",
            "status",
            "progress",
            "error",
            "created_at",
            "started_at",
            "completed_at",
        )
        read_only_fields = fields

    def get_progress(self, row: Simulation) -> int:
        return progress_of(row)


class ExplainedSimulationSerializer(SimulationSerializer):
    report = serializers.JSONField(help_text="PASS or FAIL per expectation, and all invoices")

    class Meta:
        model = Simulation
        fields = (*SimulationSerializer.Meta.fields, "report", "scenario")
        read_only_fields = fields


class Simulations(TenantListView):
    """The tenant's simulations, newest first."""

    selector = simulations
    serializer_class = SimulationSerializer
    write_roles = SIMULATORS

    @extend_schema(request=NewSimulation, responses={202: SimulationSerializer})
    def post(self, request: Request) -> Response:
        """Run a scenario through the ten stages, in a world of its own that is undone after it."""
        asked = self.read(NewSimulation)
        mapping = asked["scenario"] if "scenario" in asked else library.mapping(asked["name"])
        row = ask_for_simulation(
            tenant=self.tenant,
            mapping=mapping,
            seed=asked.get("seed"),
            actor=self.actor,
            now=self.now(),
        )
        return entity_response(self.get_serializer(row).data, status=202)


class SimulationDetail(TenantDetailView):
    """One simulation with its report."""

    selector = simulations
    serializer_class = ExplainedSimulationSerializer


class Scenarios(TenantAPIView):
    """The scenarios that come with Aforo."""

    @extend_schema(
        responses=inline_serializer(
            "Scenarios", {"names": serializers.ListField(child=serializers.CharField())}
        )
    )
    def get(self, request: Request) -> Response:
        """Their names."""
        return entity_response({"names": library.names()})
