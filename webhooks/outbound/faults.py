"""What is nobody's fault: no rule, no letter and no answer is to blame, and all comes again."""

from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError

LOST = (OperationalError, InterfaceError, SoftTimeLimitExceeded)
"""The database is away for a moment, or the task has had its time."""
