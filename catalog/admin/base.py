"""What the pages of the catalog share: an actor and a clock, inlines, and actions on rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict

from django.contrib import messages
from django.db import models
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextareaWidget

from aforo.errors import AforoError, Forbidden
from aforo.money import plain
from aforo.tenancy import clock
from aforo.tenancy.admin_base import TenantScopedAdmin, actor_of, tenants_of
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.admin.codes import ChoosesCodes
from catalog.models import Customer


class Doer(TypedDict):
    """Who does it, and when on the tenant's clock: two arguments of every service."""

    actor: Actor
    now: datetime


def tenants_to_choose(request: HttpRequest) -> QuerySet[Tenant]:
    """The tenants that whoever asks may see, those that have customers first."""
    customers = Customer.objects.filter(tenant=OuterRef("pk"))  # any tenant
    return tenants_of(request).order_by(Exists(customers).desc(), "slug")


def changed_fields(form: ModelForm) -> dict[str, Any]:
    """What somebody changed on a form, as the services take it."""
    return {field: form.cleaned_data[field] for field in form.changed_data}


def fields_of(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    """The values that a form has put on a row which is not stored yet."""
    return {name: getattr(row, name) for name in names}


class PlainDecimalWidget(UnfoldAdminDecimalFieldWidget):
    """A number as people write it: 0 and 1.5, where the column holds 0E-12 and 1.500000000000."""

    def format_value(self, value: Any) -> str | None:
        return plain(value) if isinstance(value, Decimal) else super().format_value(value)


class ShortTextarea(UnfoldAdminTextareaWidget):
    """A few lines: what is above and below stays on the screen."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"rows": 3, **(attrs or {})})


PLAIN_DECIMALS = {models.DecimalField: {"widget": PlainDecimalWidget}}


class ReadOnlyInline(TabularInline):
    """Rows of another table, here to be read."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever sees the page sees its rows


class CatalogAdmin(ChoosesCodes, TenantScopedAdmin):
    """A page whose related rows are saved by the same service as the row itself."""

    formfield_overrides = PLAIN_DECIMALS | {models.TextField: {"widget": ShortTextarea}}

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing: `save_model` has called the service with all that was said."""

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[Any]:
        """Nothing, as no formset was saved: the audit log has each field before and after."""
        return []

    def doer(self, request: HttpRequest, tenant: Tenant) -> Doer:
        """Whoever asks, if their role for `tenant` may write here; Forbidden otherwise."""
        actor = actor_of(request, tenant)
        if actor.role not in self.write_roles:
            raise Forbidden(f"role {actor.role or 'nobody'} may not do this for '{tenant}'")
        return {"actor": actor, "now": clock.now(tenant)}

    def act(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        verb: Callable[[Any, Doer], object],
        said: str,
    ) -> None:
        """Do `verb` to each row that may be changed; say how many, and what was refused."""
        done = 0
        for row in rows:
            if not self.has_change_permission(request, row):
                continue
            with told(request):
                verb(row, self.doer(request, row.tenant))
                done += 1
        self.message_user(request, f"{done} {said}", messages.SUCCESS)


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Say a refusal on the page instead of failing."""
    try:
        yield
    except AforoError as refusal:
        messages.error(request, refusal.detail)
