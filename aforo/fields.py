"""Model fields that Django does not have."""

from typing import Any

from django.core import checks
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ExactDecimalField(models.DecimalField):  # type: ignore[type-arg]
    """`numeric` without scale: PostgreSQL keeps every digit it is given and adds none.

    Nor do pages: with `decimal_places` they would fill up every number with zeros.
    """

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """As of any field: a DecimalField would ask for `max_digits` and `decimal_places`."""
        return super(models.DecimalField, self).check(**kwargs)

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"
