"""Roles at the door of the API."""

from collections.abc import Collection
from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from aforo.errors import Forbidden
from aforo.tenancy.models import ApiKey
from aforo.tenancy.roles import WRITERS


class RoleAllows(BasePermission):
    """Everybody reads; who may write is the view's `write_roles`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, ApiKey):
            return False
        role = request.auth.role
        writers: Collection[str] = getattr(view, "write_roles", WRITERS)
        if request.method not in SAFE_METHODS and role not in writers:
            raise Forbidden(f"role {role} may not do this")
        return True
