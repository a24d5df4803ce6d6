"""One at a time: looks at a tenant's margins, and changes of guards that begin anew."""

from uuid import UUID

from django.db import connection

_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('margins:' || %s::text, 0))"


def look_alone(tenant_id: UUID) -> None:
    """Wait for whoever is at a tenant's margins, and keep others away until the transaction ends.

    Take it before any row: a look holds it while it reads guards and writes where customers stand.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ALONE, (tenant_id,))
