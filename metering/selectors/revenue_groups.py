"""What live revenue is told by: whom usage of a unit under a subscription is counted for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class GroupBy(StrEnum):
    """An offering, a month of start or a tag is a cohort."""

    TENANT = "tenant"
    CUSTOMER = "customer"
    PRODUCT = "product"
    METRIC = "metric"
    OFFERING = "offering"
    START_MONTH = "startMonth"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Grouping:
    """SQL of a group's key and its label, and what both are joined from.

    Statements join subscriptions as `s`, and name the table whose rows they group `m`.
    """

    key: str
    label: str
    joins: str = ""


def only_some(about: Mapping[str, object], column: str) -> str:
    """The condition that keeps a statement to the subscriptions that it is about, if not to all."""
    return f"AND {column} = ANY(%(subscriptions)s)" if "subscriptions" in about else ""


_MONTH = "to_char(s.start_at AT TIME ZONE s.time_zone, 'YYYY-MM')"
_TAG = "coalesce(g.tag, '')"
GROUPINGS = {
    GroupBy.TENANT: Grouping("''", "''"),
    GroupBy.CUSTOMER: Grouping(
        "g.id::text", "g.external_id", "JOIN customers g ON g.id = s.customer_id"
    ),
    # A unit of several products counts for the first of them by name, so that sums stay true.
    GroupBy.PRODUCT: Grouping(
        "coalesce(g.id::text, '')",
        "coalesce(g.name, '')",
        """LEFT JOIN (
            SELECT DISTINCT ON (x.billableunit_id) x.billableunit_id, p.id, p.name
            FROM billable_units_products x JOIN products p ON p.id = x.product_id
            WHERE p.tenant_id = %(tenant)s ORDER BY x.billableunit_id, p.name, p.id
        ) AS g ON g.billableunit_id = m.unit_id""",
    ),
    GroupBy.METRIC: Grouping("g.id::text", "g.name", "JOIN billable_units g ON g.id = m.unit_id"),
    GroupBy.OFFERING: Grouping("g.id::text", "g.name", "JOIN offerings g ON g.id = s.offering_id"),
    GroupBy.START_MONTH: Grouping(_MONTH, _MONTH),
    GroupBy.TAG: Grouping(_TAG, _TAG, "LEFT JOIN customer_tags g ON g.customer_id = s.customer_id"),
}
