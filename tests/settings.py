"""The product's settings and what only the checks need."""

from aforo import settings as product
from aforo.settings import *  # noqa: F403  these are the settings

INSTALLED_APPS = [*product.INSTALLED_APPS, "django_migration_linter"]
