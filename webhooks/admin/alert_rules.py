"""Alert rules with their conditions as rows, and the wishes of customers."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from aforo.outbox.facts import facts
from aforo.tenancy.admin_base import TenantFilter, become
from catalog.admin.base import CatalogAdmin, ReadOnlyInline, changed_fields, fields_of
from catalog.admin.rows_table import Column, Row, RowsTable
from webhooks.models import AlertFiring, AlertRule, CustomerPreference
from webhooks.models.alert_rules import Channel
from webhooks.outbound.conditions import ABSENT, OPERATORS, InvalidCondition, read_conditions
from webhooks.outbound.routing import ALERT
from webhooks.services import alert_rules

_FIELDS = ("name", "severity", "fact", "conditions", "channels", "cooldown", "is_active")
_COLUMNS = ("path", "operator", "value")
_SEVERITIES = {
    AlertRule.Severity.INFO: "info",
    AlertRule.Severity.WARNING: "warning",
    AlertRule.Severity.ERROR: "danger",
    AlertRule.Severity.CRITICAL: "danger",
}


def _facts() -> list[tuple[str, str]]:
    return [(kind, kind) for kind in facts() if kind != ALERT]


def _channels(help_text: str = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=Channel.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
        help_text=help_text,
    )


class AlertConditionsField(forms.Field):
    """A member of the payload, an operator and a value in each row; all of them must hold."""

    widget = RowsTable(
        Column("path", "Where in the payload"),
        Column("operator", "Operator", (*OPERATORS, ABSENT)),
        Column("value", "Value"),
    )

    def prepare_value(self, value: Any) -> list[Row]:
        return [
            tuple(str(row.get(name) or "") for name in _COLUMNS)
            if isinstance(row, Mapping)
            else row
            for row in value or ()
        ]

    def clean(self, value: Any) -> list[dict[str, str]]:
        said = [dict(zip(_COLUMNS, row, strict=True)) for row in super().clean(value) or ()]
        try:
            read_conditions(said)
        except InvalidCondition as error:
            raise ValidationError(f"row {error.position + 1}: {error}") from error
        return said

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial) != self.prepare_value(data)


class AlertRuleForm(forms.ModelForm):
    """Nothing of it is JSON: conditions are rows, channels are ticked."""

    fact = forms.ChoiceField(choices=_facts, widget=UnfoldAdminSelectWidget)
    conditions = AlertConditionsField(
        required=False, help_text="all must hold, such as: total, GREATER, 1000; none: every fact"
    )
    channels = _channels()

    class Meta:
        model = AlertRule
        fields = ("tenant", *_FIELDS)


class FiringInline(ReadOnlyInline):
    """Who was alerted of it when, and how often it was quiet."""

    model = AlertFiring
    fields = ("customer_key", "fired_at", "quiet_until", "fired_count", "quiet_count")
    readonly_fields = fields
    show_change_link = False
    max_num = 0


@admin.register(AlertRule)
class AlertRuleAdmin(CatalogAdmin):
    """What people want to be alerted of."""

    form = AlertRuleForm
    list_display = ("name", "tenant", "level", "fact", "told_by", "cooldown", "is_active")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "severity", "fact", "is_active")
    search_fields = ("name", "=id")
    autocomplete_fields = ("tenant",)
    fields = ("tenant", *_FIELDS)
    inlines = (FiringInline,)
    actions = ("archive",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).filter(archived_at=None)
        return rows

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant",)

    @display(description="severity", label=_SEVERITIES, ordering="severity")
    def level(self, rule: AlertRule) -> str:
        return rule.severity

    @display(description="channels")
    def told_by(self, rule: AlertRule) -> str:
        return ", ".join(rule.channels)

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        if change:
            edits = changed_fields(form)
            become(obj, alert_rules.change_rule(rule=obj, edits=edits, **doing))
            return
        given = fields_of(obj, _FIELDS)
        become(obj, alert_rules.create_rule(tenant=obj.tenant, **given, **doing))

    @admin.action(description="Remove", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda rule, doing: alert_rules.archive_rule(rule=rule, **doing),
            "rules removed",
        )


class CustomerPreferenceForm(forms.ModelForm):
    fact = forms.ChoiceField(
        choices=lambda: [("", "all kinds"), *_facts()],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    channels = _channels("none ticked: nobody is ever alerted of this customer")

    class Meta:
        model = CustomerPreference
        fields = ("tenant", "customer", "fact", "channels", "cooldown")


@admin.register(CustomerPreference)
class CustomerPreferenceAdmin(CatalogAdmin):
    """How alerts about one customer are told, instead of as rules say."""

    form = CustomerPreferenceForm
    list_display = ("customer", "tenant", "fact", "told_by", "cooldown")
    list_select_related = ("tenant", "customer")
    list_filter = (TenantFilter, "fact")
    search_fields = ("customer__external_id", "customer__name")
    autocomplete_fields = ("tenant", "customer")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "customer", "fact")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request, obj)

    @display(description="channels")
    def told_by(self, preference: CustomerPreference) -> str:
        return ", ".join(preference.channels) or "never"

    def save_model(
        self, request: HttpRequest, obj: CustomerPreference, form: Any, change: bool
    ) -> None:
        doing = self.doer(request, obj.customer.tenant)
        saved = alert_rules.prefer(
            customer=obj.customer,
            fact=obj.fact,
            channels=obj.channels,
            cooldown=obj.cooldown,
            **doing,
        )
        become(obj, saved)

    def delete_model(self, request: HttpRequest, obj: CustomerPreference) -> None:
        alert_rules.forget_preference(preference=obj, **self.doer(request, obj.tenant))
