"""The base of every row that belongs to a tenant."""

from typing import Self
from uuid import UUID

from django.db import models

from aforo.ids import new_id
from aforo.tenancy.models.tenants import Tenant


class TenantQuerySet(models.QuerySet):  # type: ignore[type-arg]  # stands under many models
    def for_tenant(self, tenant: Tenant | UUID) -> Self:
        """The rows of one tenant: where every query of a door begins."""
        return self.filter(tenant=tenant)


class TenantOwned(models.Model):
    """A row of one tenant, under an id that is unique everywhere."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")

    objects = TenantQuerySet.as_manager()

    class Meta:
        abstract = True
