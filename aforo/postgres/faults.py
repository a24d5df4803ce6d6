"""Whose fault an error of the database is: of the server, or of what was asked."""

from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connection


def is_of_the_server(error: Exception) -> bool:
    """Whether nothing else can be asked either, so that going on with the next one is in vain.

    A deadlock, a lock that was waited for too long, or a statement that took too long leave the
    connection usable: they are of what was asked. A task whose time is up goes on with nothing.
    """
    if isinstance(error, SoftTimeLimitExceeded):
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return connection.connection is None or not connection.is_usable()
