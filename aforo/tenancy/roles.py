"""What each role may do: one policy for the API and the admin."""

from aforo.tenancy.models.members import Role

EVERYONE = frozenset(Role)
WRITERS = frozenset({Role.OWNER, Role.ADMIN, Role.BILLING_ADMIN})
CATALOG_WRITERS = frozenset({Role.OWNER, Role.ADMIN, Role.PRODUCT_MANAGER})
KEY_WRITERS = frozenset({Role.OWNER, Role.ADMIN, Role.DEVELOPER})
USAGE_WRITERS = frozenset({Role.OWNER, Role.ADMIN, Role.BILLING_ADMIN, Role.DEVELOPER})
ALERT_WRITERS = frozenset(Role) - {Role.MEMBER}
SIMULATORS = frozenset(Role) - {Role.MEMBER}
EXPORTERS = frozenset({Role.OWNER, Role.ADMIN, Role.BILLING_ADMIN})
MEMBER_WRITERS = frozenset({Role.OWNER, Role.ADMIN})


def may_grant(own: str, granted: str) -> bool:
    """Whether somebody in role `own` may give `granted`: never more than they hold themselves."""
    if own == Role.OWNER:
        return True
    if own == Role.ADMIN:
        return granted != Role.OWNER
    return granted in {own, Role.MEMBER}
