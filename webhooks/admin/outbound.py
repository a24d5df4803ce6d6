"""Endpoints of people who want to be told."""

from collections.abc import Callable
from textwrap import shorten
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from aforo.outbox.facts import Fact, facts
from aforo.tenancy.admin_base import (
    TenantFilter,
    after_dialog,
    become,
)
from aforo.tenancy.roles import KEY_WRITERS
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of, told
from webhooks.models import WebhookEndpoint
from webhooks.services import endpoints

_WIDTH = 72  # characters
_FIELDS = ("description", "format", "url", "facts", "is_active")


def _told(fact: Fact) -> str:
    """When it is told, in a few words: a label is never broken."""
    if fact.not_yet:
        return f"not yet: comes {fact.not_yet}"
    return shorten(fact.when.replace("`", ""), _WIDTH, placeholder=" ...")


class EndpointForm(forms.ModelForm):
    """Facts are ticked; none ticked is all of them."""

    facts = forms.MultipleChoiceField(
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        choices=lambda: [(kind, f"{kind} - {_told(fact)}") for kind, fact in facts().items()],
        help_text="none ticked: all facts",
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("tenant", *_FIELDS)
        labels = {"url": "Address"}


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(CatalogAdmin):
    """Who is told, how it goes, and buttons to try it."""

    form = EndpointForm
    write_roles = KEY_WRITERS
    list_display = ("__str__", "tenant", "format", "state", "failures", "failing_since", "sent")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "format", "is_active")
    search_fields = ("description", "url", "=id")
    autocomplete_fields = ("tenant",)
    actions_detail = ("test_this", "rotate_this", "archive_this")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).filter(archived_at=None)
        return rows

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        stored = ("disabled_reason", "failing_since", "failures", "sent")
        return ("tenant", *_FIELDS, *(() if obj is None else stored))

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        stored = ("disabled_reason", "failing_since", "failures", "sent")
        return () if obj is None else ("tenant", "format", *stored)

    @display(description="state", label={"on": "success", "failing": "warning", "off": "danger"})
    def state(self, endpoint: WebhookEndpoint) -> str:
        if not endpoint.is_active:
            return "off"
        return "failing" if endpoint.failures else "on"

    @display(description="deliveries")
    def sent(self, endpoint: WebhookEndpoint) -> SafeString:
        listed = reverse("admin:webhooks_outbounddelivery_changelist")
        where = f"{listed}?endpoint__id__exact={endpoint.pk}"
        return format_html('<a href="{}">deliveries</a>', where)

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        actor, now = self.doer(request, obj.tenant)["actor"], timezone.now()
        if change:
            edits = changed_fields(form)
            saved = endpoints.change_endpoint(endpoint=obj, edits=edits, actor=actor, now=now)
            become(obj, saved)
            return
        given = fields_of(obj, _FIELDS)
        saved, secret = endpoints.create_endpoint(tenant=obj.tenant, actor=actor, now=now, **given)
        become(obj, saved)
        self._tell(request, saved, secret)

    def _tell(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> None:
        if endpoint.format != WebhookEndpoint.Format.STANDARD:
            return  # nothing there is signed
        text = f"The secret of '{endpoint}' is {secret} - copy it now, it cannot be shown again."
        self.message_user(request, text, messages.WARNING)

    def has_act_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the page of an endpoint offers its buttons."""
        endpoint = self.get_object(request, object_id) if object_id else None
        return endpoint is not None and self.may_write(request, endpoint)

    def _act(
        self, request: HttpRequest, object_id: str, verb: Callable[[WebhookEndpoint, Any], str]
    ) -> HttpResponse:
        """Do something with one endpoint, say what, and go back to its page."""
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            raise PermissionDenied
        with told(request):
            actor = self.doer(request, endpoint.tenant)["actor"]
            self.message_user(request, verb(endpoint, actor))
        if self.get_object(request, object_id) is None:
            return after_dialog(request, reverse("admin:webhooks_webhookendpoint_changelist"))
        page = reverse("admin:webhooks_webhookendpoint_change", args=(object_id,))
        return after_dialog(request, page)

    def has_rotate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Only signed webhooks have a secret to change."""
        endpoint = self.get_object(request, object_id) if object_id else None
        is_signed = endpoint is not None and endpoint.format == WebhookEndpoint.Format.STANDARD
        return is_signed and self.may_write(request, endpoint)

    @action(
        description="Send a test",
        permissions=["act"],
        url_path="test",
        icon="send",
        dialog={
            "title": "Send a test to this endpoint?",
            "description": "A message that says nothing, now. What became of it is among the"
            " deliveries.",
            "form_class": None,
            "form_submit_text": "Send",
        },
    )
    def test_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        def send(endpoint: WebhookEndpoint, _: Any) -> str:
            endpoints.test_endpoint(endpoint=endpoint, now=timezone.now())
            return "A test is on its way: what became of it is among the deliveries"

        return self._act(request, object_id, send)

    @action(
        description="Rotate secret",
        permissions=["rotate"],
        url_path="rotate",
        icon="key",
        dialog={
            "title": "Give this endpoint a new secret?",
            "description": "It is shown once, above the page. For 24 hours messages are signed"
            " with both; the secret before the present one is void at once.",
            "form_class": None,
            "form_submit_text": "Rotate",
        },
    )
    def rotate_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        def rotate(endpoint: WebhookEndpoint, actor: Any) -> str:
            changed, secret = endpoints.rotate_secret(
                endpoint=endpoint, actor=actor, now=timezone.now()
            )
            self._tell(request, changed, secret)
            return "For 24 hours messages are signed with both secrets"

        return self._act(request, object_id, rotate)

    @action(
        description="Remove",
        permissions=["act"],
        url_path="archive",
        icon="delete",
        dialog={
            "title": "Remove this endpoint?",
            "description": "Nothing more is sent to it, nor what waits for it.",
            "form_class": None,
            "form_submit_text": "Remove",
        },
    )
    def archive_this(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        def archive(endpoint: WebhookEndpoint, actor: Any) -> str:
            endpoints.archive_endpoint(endpoint=endpoint, actor=actor, now=timezone.now())
            return f"Nothing more is sent to '{endpoint}'"

        return self._act(request, object_id, archive)
