"""What all admin pages stand on: whose rows are shown, who may change them, and how.

A person sees the tenants they are a member of; a superuser sees all, as an owner. Nothing is
saved by a form: `save_model` calls a service, and what the service refuses is said on the form.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import RelatedFieldListFilter, SimpleListFilter
from django.contrib.auth.models import User
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.decorators import display

from aforo.errors import AforoError
from aforo.money import plain
from aforo.tenancy import selectors
from aforo.tenancy.models import Tenant, TenantOwned
from aforo.tenancy.models.members import Role
from aforo.tenancy.requests import address_of, request_id
from aforo.tenancy.roles import WRITERS
from aforo.tenancy.services.actors import Actor


def roles_of(request: HttpRequest) -> dict[UUID, str]:
    """The tenants that whoever asks is a member of, with their roles; read once per request."""
    kept = request.__dict__
    if "tenant_roles" not in kept:
        kept["tenant_roles"] = selectors.roles_by_tenant(cast(User, request.user))
    roles: dict[UUID, str] = kept["tenant_roles"]
    return roles


def is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


def role_in(request: HttpRequest, tenant_id: UUID) -> str:
    """The role somebody has for a tenant; "" for none."""
    return Role.OWNER if is_superuser(request) else roles_of(request).get(tenant_id, "")


def tenants_of(request: HttpRequest, roles: Collection[str] | None = None) -> QuerySet[Tenant]:
    """The tenants that whoever asks may see; with `roles`, those that they have such a role for."""
    if is_superuser(request):
        return Tenant.objects.all()
    held = roles_of(request).items()
    return Tenant.objects.filter(pk__in=[pk for pk, role in held if roles is None or role in roles])


def tenant_ids_of(request: HttpRequest) -> list[UUID]:
    """The ids of the tenants that whoever asks may see."""
    if is_superuser(request):
        return list(Tenant.objects.values_list("pk", flat=True))
    return list(roles_of(request))


def actor_of(request: HttpRequest, tenant: Tenant | UUID) -> Actor:
    """Whoever asks, as the services and the audit log know them."""
    tenant_id = tenant.pk if isinstance(tenant, Tenant) else tenant
    return Actor.user(
        cast(User, request.user),
        role=role_in(request, tenant_id),
        address=address_of(request),
        request_id=request_id(),
    )


class TenantFilter(SimpleListFilter):
    """By tenant, naming only those that may be seen."""

    title = "tenant"
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(tenant.slug, tenant.name) for tenant in tenants_of(request)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(tenant__slug=self.value()) if self.value() else queryset


class OwnRelatedFilter(RelatedFieldListFilter):
    """By a related row, naming only those of tenants that may be seen."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        own = {} if is_superuser(request) else {"tenant__in": list(roles_of(request))}
        return list(field.get_choices(include_blank=False, limit_choices_to=own))


class TenantScopedAdmin(ModelAdmin):
    """Rows of the tenants somebody is a member of. Forms delete only where a class says so."""

    write_roles: ClassVar[Collection[str]] = WRITERS
    tenant_lookup: ClassVar[str] = "tenant"
    actions_on_bottom = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if is_superuser(request):
            return rows
        return rows.filter(**{f"{self.tenant_lookup}__in": list(roles_of(request))})

    def may_read(self, request: HttpRequest, row: Model | None = None) -> bool:
        """Whether somebody may see this row, or any at all."""
        if row is None:
            return is_superuser(request) or bool(roles_of(request))
        return bool(role_in(request, tenant_id_of(row)))

    def may_write(self, request: HttpRequest, row: Model | None = None) -> bool:
        """Whether somebody's role may change this row, or any at all."""
        if row is not None:
            return role_in(request, tenant_id_of(row)) in self.write_roles
        own = roles_of(request).values()
        return is_superuser(request) or any(role in self.write_roles for role in own)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may_read(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_read(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        fields: Sequence[str] = super().get_readonly_fields(request, obj)
        return (*fields, "tenant") if isinstance(obj, TenantOwned) else fields

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        target = db_field.related_model
        if not is_superuser(request) and "queryset" not in kwargs:
            own = list(roles_of(request))
            if target is Tenant:
                kwargs["queryset"] = Tenant.objects.filter(pk__in=own)
            elif issubclass(target, TenantOwned):
                kwargs["queryset"] = target.objects.filter(tenant__in=own)  # any tenant
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Whoever writes for one tenant alone does not choose it."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        own = tenants_of(request, self.write_roles)[:2]
        if issubclass(self.model, TenantOwned) and len(own) == 1:
            initial.setdefault("tenant", own[0].pk)
        return initial

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        raise NotImplementedError(f"{type(self).__name__} calls no service to save with")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} calls no service to delete with")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form: type[forms.ModelForm] = super().get_form(request, obj, change, **kwargs)
        refusal = request.__dict__.get("refusal")
        return form if refusal is None else _refusing(form, refusal)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except AforoError as refusal:
            request.__dict__["refusal"] = refusal  # the same form again, which now says it
            answer = super().changeform_view(request, *args, **kwargs)
        return answer

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().delete_view(request, *args, **kwargs)
        except AforoError as refusal:
            return self._say(request, refusal)
        return answer

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().changelist_view(request, *args, **kwargs)
        except AforoError as refusal:
            return self._say(request, refusal)
        return answer

    def page(
        self, request: HttpRequest, template: str, title: str, **context: Any
    ) -> TemplateResponse:
        """A page of our own among those of this table."""
        about = {"title": title, "opts": self.opts, **self.admin_site.each_context(request)}
        return TemplateResponse(request, template, about | context)

    def _say(self, request: HttpRequest, refusal: AforoError) -> HttpResponse:
        self.message_user(request, refusal.detail, messages.ERROR)
        return redirect(request.get_full_path())


def after_dialog(request: HttpRequest, url: str) -> HttpResponse:
    """On to `url` once a dialog is confirmed.

    The script that sent it would load a redirect into the dialog, where nobody sees it.
    """
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)


def plainly(field: str) -> Callable[[Any], str]:
    """A column or read-only field that shows a Decimal without trailing zeros."""

    def shown(row: Any) -> str:
        value = getattr(row, field)
        return "" if value is None else plain(value)

    described: Callable[[Any], str] = display(description=field.replace("_", " "), ordering=field)(
        shown
    )
    return described


class ReadOnlyAdmin(TenantScopedAdmin):
    """For tables that only grow, and for what only services may touch."""

    show_full_result_count = False  # these are the large tables

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def tenant_id_of(row: Model) -> UUID:
    """The tenant that a row belongs to, or is."""
    return row.pk if isinstance(row, Tenant) else cast(TenantOwned, row).tenant_id


def become(row: Model, saved: Model) -> None:
    """Make the admin's `row` the one that a service has saved."""
    row.__dict__.update(saved.__dict__)


def _column(field: str) -> str:
    """A field by its path on the wire, as columns are called: `discountValue`, discount_value."""
    return re.sub("(?<!^)(?=[A-Z])", "_", field).lower()


def _refusing(form: type[forms.ModelForm], refusal: AforoError) -> type[forms.ModelForm]:
    class Refusing(form):  # type: ignore[misc, valid-type]  # made for one answer
        def clean(self) -> Any:
            cleaned = super().clean()
            faults = {fault: _column(fault.field) for fault in refusal.errors}
            beside = {fault for fault, name in faults.items() if name in self.fields}
            for fault in beside:
                self.add_error(faults[fault], fault.message)
            if beside != set(faults) or not faults:
                self.add_error(None, refusal.detail)
            return cleaned

    return Refusing
