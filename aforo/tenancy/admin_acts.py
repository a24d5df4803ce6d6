"""What can be pressed on a page of one row: each act says what follows, and asks why."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from aforo.errors import AforoError
from aforo.tenancy.admin_base import TenantScopedAdmin, actor_of
from aforo.tenancy.services.actors import Actor


class ActForm(forms.Form):
    """What an act asks about `row`. As it is: nothing, pressing the button is all."""

    def __init__(self, row: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row


class ReasonForm(ActForm):
    """Why: kept in the audit log."""

    reason = forms.CharField(
        max_length=1_000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept in the audit log.",
    )


class NoteForm(ActForm):
    """Why, for whoever wants to say it."""

    reason = forms.CharField(
        required=False,
        max_length=1_000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept in the audit log; may be left out.",
    )


@dataclass(frozen=True, slots=True)
class Act:
    """One button: what it says, the states it is offered in, and the service behind it.

    `do` takes the row, what the form was given, and who asks; it returns the row to be shown next.
    """

    title: str
    icon: str
    consequence: str
    states: Collection[str]
    do: Callable[[Any, Mapping[str, Any], Actor], Model]
    form: type[ActForm] = NoteForm
    is_dangerous: bool = False


class ActsOnRow(TenantScopedAdmin):
    """A page with buttons that call services. Each has a page of its own, and asks there."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (AforoError,)

    def acts_of(self, row: Any) -> dict[str, Act]:
        """What can be pressed for `row` in its state, by the name in the path."""
        raise NotImplementedError

    def shown(self, request: HttpRequest, row: Any) -> dict[str, object]:
        """What the page shows of `row` beyond its fields."""
        return {}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_view)
        own = path("<uuid:object_id>/act/<str:name>/", view, name=self._named("act"))
        return [own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None:
            acts = self.acts_of(row) if self.may_write(request, row) else {}
            more = {"acts": acts, "act_path": f"admin:{self._named('act')}"}
            kwargs["extra_context"] = {
                **(kwargs.get("extra_context") or {}),
                **more,
                **self.shown(request, row),
            }
        answer: HttpResponse = super().change_view(request, object_id, *args, **kwargs)
        return answer

    def act_view(self, request: HttpRequest, object_id: UUID, name: str) -> HttpResponse:
        """One act on one row, once what it asks for is given."""
        row = self.visible(request, object_id)
        if not self.may_write(request, row):
            raise PermissionDenied
        act = self.acts_of(row).get(name)
        if act is None:
            raise Http404
        form = act.form(row, request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                done = act.do(row, form.cleaned_data, actor_of(request, row.tenant_id))
            except self.refusals as refusal:
                form.add_error(None, getattr(refusal, "detail", str(refusal)))
            else:
                self.message_user(request, f"{act.title}: done.", messages.SUCCESS)
                return redirect(f"admin:{self._named('change')}", done.pk)
        back = reverse(f"admin:{self._named('change')}", args=[row.pk])
        return self.page(
            request, "tenancy/act.html", act.title, act=act, form=form, row=row, back=back
        )

    def visible(self, request: HttpRequest, id: UUID) -> Any:  # noqa: A002 - as in the path
        """The row of a path, if whoever asks may see it; Http404 otherwise."""
        row = self.get_queryset(request).filter(pk=id).first()
        if row is None:
            raise Http404
        return row

    def _named(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"
