"""The page on which the mappings of a source are tried, on a payload and on what came lately."""

from typing import Any

import msgspec
from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from aforo.api import parsers
from aforo.errors import AforoError
from metering.admin.base import json_text
from webhooks.models import WebhookSource
from webhooks.services.previews import Previewed, preview, preview_latest

MOST = 256 * 1024  # characters
LATEST = 10
_WRAPPED = "white-space: pre-wrap; overflow-wrap: anywhere"
_encoder = msgspec.json.Encoder(decimal_format="number")


class PreviewForm(forms.Form):
    payload = forms.CharField(
        max_length=MOST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10}),
        help_text="JSON as it is pushed: one payload, or an array of them",
    )
    event_type = forms.CharField(
        required=False,
        max_length=400,
        widget=UnfoldAdminTextInputWidget,
        help_text="where a header says it, such as X-GitHub-Event",
    )

    def tried(self, source: WebhookSource) -> list[Previewed]:
        """What the payload would become; nothing when the form says what is wrong with it."""
        if not self.is_valid():
            return []
        try:
            payload = parsers.decode(self.cleaned_data["payload"].encode())
            kind = self.cleaned_data["event_type"]
            return preview(source=source, payload=payload, event_type=kind)
        except AforoError as error:
            self.add_error("payload", error.detail)
            return []


def preview_context(request: HttpRequest, source: WebhookSource) -> dict[str, Any]:
    """What the page shows: the form, and a table of what payloads would become."""
    form = PreviewForm(request.POST if request.method == "POST" else None)
    tried = form.tried(source) if request.method == "POST" else []
    latest = preview_latest(source=source, count=LATEST)
    return {
        "form": form,
        "source": source,
        "tried": _table(tried) if tried else None,
        "latest": _table(latest) if latest else None,
    }


def _table(previewed: list[Previewed]) -> dict[str, Any]:
    return {
        "headers": ["push", "type", "would be", "events"],
        "rows": [
            [_push(one), one.event_type or "-", one.verdict, _events(one)] for one in previewed
        ],
    }


def _push(one: Previewed) -> SafeString | str:
    if one.delivery_id is None:
        return "pasted"
    page = reverse("admin:webhooks_webhookdelivery_change", args=[one.delivery_id])
    return format_html('<a class="text-primary-600" href="{}">{}</a>', page, str(one.delivery_id))


def _events(one: Previewed) -> SafeString | str:
    flaw = f"{one.why.code}: {one.why.detail}\n" if one.why else ""
    if not one.events:
        return flaw or "none: no mapping names this type"
    shown = json_text(_encoder.encode(one.events))
    return format_html(
        '<div class="font-mono text-xs" style="{}">{}{}</div>', _WRAPPED, flaw, shown
    )
