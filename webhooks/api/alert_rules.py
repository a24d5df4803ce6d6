"""Alert rules and the wishes of customers over HTTP."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import StrictSerializer, WireModelSerializer, WireSerializer
from aforo.api.views import TenantDetailView, TenantListView
from aforo.errors import Refused
from catalog.models import Customer
from webhooks.models import AlertRule, CustomerPreference
from webhooks.models.alert_rules import LONGEST_COOLDOWN, Channel
from webhooks.outbound.conditions import ABSENT, MOST, OPERATORS
from webhooks.outbound.listings import alert_rules, customer_preferences
from webhooks.services import alert_rules as services

ALERT_OPERATORS = [(name, name) for name in (*OPERATORS, ABSENT)]
_LONGEST_COOLDOWN = int(LONGEST_COOLDOWN.total_seconds())  # seconds
_LONGEST_TEXT = 400


def _channels(**more: Any) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(Channel.choices), max_length=len(Channel), **more
    )


def _cooldown(**more: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=0, max_value=_LONGEST_COOLDOWN, **more)


class AlertConditionSerializer(StrictSerializer):
    path = serializers.CharField(max_length=_LONGEST_TEXT, help_text="JSONPath into the payload")
    operator = serializers.ChoiceField(ALERT_OPERATORS)
    value = serializers.CharField(max_length=_LONGEST_TEXT, required=False, allow_blank=True)


class AlertRuleEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    severity = serializers.ChoiceField(AlertRule.Severity.choices, required=False)
    fact = serializers.CharField(max_length=64, required=False)
    conditions = serializers.ListField(
        child=AlertConditionSerializer(), max_length=MOST, required=False
    )
    channels = _channels(required=False)
    cooldown_seconds = _cooldown(required=False)
    is_active = serializers.BooleanField(required=False)


class NewAlertRule(AlertRuleEdits):
    name = serializers.CharField(max_length=200)
    fact = serializers.CharField(max_length=64)


class AlertRuleSerializer(WireModelSerializer):
    conditions = AlertConditionSerializer(many=True)
    channels = _channels()
    cooldown_seconds = serializers.SerializerMethodField()

    class Meta:
        model = AlertRule
        fields = (
            "id",
            "name",
            "severity",
            "fact",
            "conditions",
            "channels",
            "cooldown_seconds",
            "is_active",
            "created_at",
        )
        read_only_fields = fields

    def get_cooldown_seconds(self, rule: AlertRule) -> int:
        return int(rule.cooldown.total_seconds())


class NewCustomerPreference(WireSerializer):
    customer_id = serializers.CharField(max_length=255, help_text="your own id of the customer")
    fact = serializers.CharField(
        max_length=64, required=False, allow_blank=True, help_text="empty: all kinds"
    )
    channels = _channels(help_text="none: never")
    cooldown_seconds = _cooldown(required=False, allow_null=True, help_text="none: as rules say")


class CustomerPreferenceSerializer(WireModelSerializer):
    customer_id = serializers.CharField(source="customer.external_id")
    channels = _channels()
    cooldown_seconds = serializers.SerializerMethodField()

    class Meta:
        model = CustomerPreference
        fields = ("id", "customer_id", "fact", "channels", "cooldown_seconds")
        read_only_fields = fields

    def get_cooldown_seconds(self, preference: CustomerPreference) -> int | None:
        cooldown = preference.cooldown
        return None if cooldown is None else int(cooldown.total_seconds())


class AlertRules(TenantListView):
    """The tenant's alert rules by name."""

    selector = alert_rules
    serializer_class = AlertRuleSerializer

    @extend_schema(request=NewAlertRule, responses={201: AlertRuleSerializer})
    def post(self, request: Request) -> Response:
        """Make a rule: when all of its conditions hold for a fact, `alert.fired` is told."""
        asked = _with_cooldown(self.read(NewAlertRule))
        rule = services.create_rule(tenant=self.tenant, actor=self.actor, now=self.now(), **asked)
        return self.answer(rule, status=201)


class AlertRuleDetail(TenantDetailView):
    """One alert rule."""

    selector = alert_rules
    serializer_class = AlertRuleSerializer

    @extend_schema(request=AlertRuleEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change a rule, for facts that come later."""
        rule, edits = self.get_object(), _with_cooldown(self.read(AlertRuleEdits))
        changed = services.change_rule(rule=rule, edits=edits, actor=self.actor, now=self.now())
        return self.answer(changed)

    @extend_schema(responses=AlertRuleSerializer)
    def delete(self, request: Request, **path: Any) -> Response:
        """Alert by a rule no more."""
        rule = self.get_object()
        return self.answer(services.archive_rule(rule=rule, actor=self.actor, now=self.now()))


class CustomerPreferences(TenantListView):
    """How alerts about single customers are told, instead of as rules say."""

    selector = customer_preferences
    serializer_class = CustomerPreferenceSerializer

    @extend_schema(request=NewCustomerPreference, responses={201: CustomerPreferenceSerializer})
    def post(self, request: Request) -> Response:
        """Set what is preferred for a customer and a kind of fact; again replaces it."""
        unsaid = {"fact": "", "cooldown_seconds": None}
        asked = _with_cooldown(unsaid | self.read(NewCustomerPreference))
        external_id = asked.pop("customer_id")
        customer = Customer.objects.for_tenant(self.tenant).filter(external_id=external_id).first()
        if customer is None:
            raise Refused.naming("customerId", "UNKNOWN", f"there is no customer {external_id!r}")
        row = services.prefer(customer=customer, actor=self.actor, now=self.now(), **asked)
        return self.answer(row, status=201)


class CustomerPreferenceDetail(TenantDetailView):
    """One preference."""

    selector = customer_preferences
    serializer_class = CustomerPreferenceSerializer

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Tell alerts about the customer as rules say again."""
        row = self.get_object()
        services.forget_preference(preference=row, actor=self.actor, now=self.now())
        return Response(status=204)


def _with_cooldown(asked: dict[str, Any]) -> dict[str, Any]:
    if "cooldown_seconds" in asked:
        seconds = asked.pop("cooldown_seconds")
        asked["cooldown"] = None if seconds is None else timedelta(seconds=seconds)
    return asked
