"""Sources of pushed usage: what to paste at the provider, how payloads are read, how it goes."""

from collections import Counter
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from aforo.tenancy.admin_base import TenantFilter, after_dialog, become
from aforo.tenancy.roles import KEY_WRITERS
from catalog.admin.base import CatalogAdmin, changed_fields, fields_of, told
from webhooks.admin.mapping_forms import MappingInline, list_in, rules_on
from webhooks.admin.previews import preview_context
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.selectors import metrics_without_unit
from webhooks.services import secrets, sources
from webhooks.services.deliveries import address_of
from webhooks.services.readings import metrics_named

_NAMED = ("name", "description", "is_active", "rate_limit")
_PROOF = (*sources.PROOF, "public_address")
_FILTER = ("event_filter", "metric")
_PATHS = sources.PATHS[:4]
_SAMENESS = ("event_id_path", "event_id_header", "event_type_path")
FIELDS = ("provider", *_NAMED, *_PROOF, *_FILTER, *_PATHS, *_SAMENESS)
COUNTED = 1_000  # pushes of one source: a read of its index
_SHOWN = ("told_address", "how_it_goes")
_STATES = {"on": "success", "failing": "danger", "no secret": "warning", "off": "warning"}


class SourceForm(forms.ModelForm):
    """Event types are written as people write lists."""

    event_filter = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="event types that count, separated by commas; empty: all",
    )
    public_address = forms.URLField(
        required=False,
        max_length=500,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget,
        help_text="as the provider calls us, where it signs the address; empty: as it is shown",
    )

    class Meta:
        model = WebhookSource
        fields = ("tenant", *FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["event_filter"] = ", ".join(self.instance.event_filter)

    def clean_event_filter(self) -> list[str]:
        return list_in(self.cleaned_data["event_filter"])


class NewSecret(BaseDialogForm):
    secret = forms.CharField(
        required=False,
        max_length=2_000,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="the provider's; empty: Aforo draws one, where the provider lets us",
    )
    old_stays = forms.IntegerField(
        label="hours for which the old one still passes",
        min_value=0,
        max_value=int(secrets.LONGEST_STAY / timedelta(hours=1)),
        initial=int(secrets.OLD_STAYS / timedelta(hours=1)),
        widget=UnfoldAdminIntegerFieldWidget,
    )


@admin.register(WebhookSource)
class WebhookSourceAdmin(CatalogAdmin):
    """Who pushes usage without a key: by address and signature."""

    form = SourceForm
    write_roles = KEY_WRITERS
    inlines = (MappingInline,)
    list_display = ("name", "tenant", "provider", "state", "last_push", "failing_since", "pushes")
    list_select_related = ("tenant",)
    list_filter = (
        TenantFilter,
        "provider",
        "is_active",
        ("failing_since", admin.EmptyFieldListFilter),
    )
    search_fields = ("name", "=id")
    autocomplete_fields = ("tenant",)
    fieldsets = (
        (None, {"fields": ("tenant", "provider", *_NAMED, *_SHOWN)}),
        ("What counts", {"fields": _FILTER}),
        ("Signature of custom sources", {"fields": _PROOF, "classes": ["collapse"]}),
        ("Custom sources without mappings", {"fields": _PATHS, "classes": ["collapse"]}),
        ("What makes a push of theirs the same", {"fields": _SAMENESS, "classes": ["collapse"]}),
    )
    actions = ("archive",)
    actions_detail = ("try_it", "new_secret")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        latest = WebhookDelivery.objects.filter(source=OuterRef("pk"))  # any tenant: of its source
        last = Subquery(latest.order_by("-id").values("arrived_at")[:1])
        rows = super().get_queryset(request).filter(archived_at=None).annotate(last=last)
        return cast(QuerySet[Any], rows)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return _SHOWN if obj is None else ("tenant", "provider", *_SHOWN)

    @display(description="state", label=_STATES)
    def state(self, source: WebhookSource) -> str:
        if not source.is_active:
            return "off"
        if not source.sealed_secret:
            return "no secret"
        return "on" if source.failing_since is None else "failing"

    @display(description="last push")
    def last_push(self, source: Any) -> Any:
        return source.last

    @display(description="address to paste at the provider")
    def told_address(self, source: WebhookSource) -> SafeString | str:
        if source.created_at is None:
            return "is shown once the source is saved"
        return format_html('<code class="select-all">{}</code>', address_of(source.pk))

    @display(description="how it goes")
    def how_it_goes(self, source: WebhookSource) -> SafeString | str:
        """What is missing, what fails, the newest push, and the last ones by verdict."""
        if source.created_at is None:
            return ""
        said = [] if source.sealed_secret else ["there is no secret yet"]
        if source.sealed_secret and not secrets.secrets_of(source, now=timezone.now()):
            said.append("its secret cannot be opened any more: give it another")
        if uncounted := metrics_without_unit(source.tenant_id, metrics_named(source)):
            said.append(f"no billable unit counts {', '.join(uncounted)}")
        if source.failing_since:
            said.append(f"failing since {source.failing_since:%Y-%m-%d %H:%M} UTC")
        said += _story(source)
        return format_html("{} - {}", "; ".join(said), self.pushes(source))

    @display(description="pushes")
    def pushes(self, source: WebhookSource) -> SafeString:
        listed = reverse("admin:webhooks_webhookdelivery_changelist")
        link = '<a class="text-primary-600" href="{}?source__id__exact={}">pushes</a>'
        return format_html(link, listed, source.pk)

    def save_model(self, request: HttpRequest, obj: WebhookSource, form: Any, change: bool) -> None:
        """Nothing yet: the source and its mappings go to the service together."""

    def save_related(
        self, request: HttpRequest, form: Any, formsets: list[Any], change: bool
    ) -> None:
        row, rules = form.instance, rules_on(formsets)
        doing = self.doer(request, row.tenant)
        if change:
            edits = changed_fields(form)
            saved = sources.change_source(source=row, edits=edits, mappings=rules, **doing)
            become(row, saved)
            return
        given = fields_of(row, FIELDS)
        saved, secret = sources.create_source(
            tenant=row.tenant, mappings=rules or None, **given, **doing
        )
        become(row, saved)
        self._tell(request, saved, secret)

    def _tell(self, request: HttpRequest, source: WebhookSource, secret: str) -> None:
        text = f"The secret of '{source}' is {secret} - copy it now, it cannot be shown again."
        if not secret:
            text = f"'{source}' needs the secret that its provider draws: see 'New secret'."
        self.message_user(request, text, messages.WARNING)

    def has_secret_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        source = self.get_object(request, object_id) if object_id else None
        return source is not None and self.has_change_permission(request, source)

    @action(
        description="New secret",
        permissions=["secret"],
        url_path="secret",
        icon="key",
        dialog={
            "title": "Give this source a new secret?",
            "description": "A drawn one is shown once, above the page.",
            "form_class": NewSecret,
            "form_submit_text": "Change",
        },
    )
    def new_secret(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        source = self._own(request, object_id)
        given, stays = form.cleaned_data["secret"], form.cleaned_data["old_stays"]
        until = timezone.now() + timedelta(hours=stays) if stays else None
        with told(request):
            rotated, secret = secrets.rotate_secret(
                source=source, secret=given, old_until=until, **self.doer(request, source.tenant)
            )
            if given:
                self.message_user(request, "The secret is changed.", messages.SUCCESS)
            else:
                self._tell(request, rotated, secret)
        page = reverse("admin:webhooks_webhooksource_change", args=(object_id,))
        return after_dialog(request, page)

    @action(description="Try it", url_path="try", icon="science")
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What payloads would become."""
        source: WebhookSource | None = self.get_object(request, object_id)
        if source is None or not self.has_view_permission(request, source):
            raise PermissionDenied
        context = preview_context(request, source)
        return self.page(request, "webhooks/try_mapping.html", f"Try '{source}'", **context)

    def _own(self, request: HttpRequest, object_id: str) -> WebhookSource:
        source: WebhookSource | None = self.get_object(request, object_id)
        if source is None or not self.has_change_permission(request, source):
            raise PermissionDenied
        return source

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[WebhookSource]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda source, doing: sources.archive_source(source=source, **doing),
            "sources archived",
        )


def _story(source: WebhookSource) -> list[str]:
    """The newest push of a source, and what became of the last `COUNTED`."""
    own = WebhookDelivery.objects.for_tenant(source.tenant_id).filter(source=source)
    newest = own.defer("payload").order_by("-id").first()
    if newest is None:
        return ["nothing came yet"]
    detail = f": {newest.detail}" if newest.detail else ""
    last = f"last {newest.verdict} at {newest.arrived_at:%Y-%m-%d %H:%M:%S} UTC{detail}"
    verdicts = Counter(own.order_by("-id").values_list("verdict", flat=True)[:COUNTED])
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    return [last, f"of the last {verdicts.total()}: {counts}"]
