"""The overview of dead letters: what is open, by what is wrong, and the acts that mend it."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from aforo.tenancy.admin_base import role_in, tenants_of
from aforo.tenancy.models import Tenant
from aforo.tenancy.roles import CATALOG_WRITERS, USAGE_WRITERS
from metering.models import DeadLetter
from metering.refusals import NOT_REPLAYABLE
from metering.selectors.letters import LetterGroup, LetterSummary
from metering.services.units_from_letters import CODE as UNKNOWN

MOST_TENANTS = 50  # offered above the table


def counted(number: int, noun: str) -> str:
    """`1,201 letters`, `1 event`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tenants_with_letters(request: HttpRequest) -> QuerySet[Tenant]:
    """Tenants that whoever asks may see and that have open letters."""
    is_open = DeadLetter.objects.filter(  # any tenant: the one at hand
        tenant=OuterRef("pk"), status=DeadLetter.Status.OPEN
    )
    return tenants_of(request).filter(Exists(is_open)).order_by("slug")[:MOST_TENANTS]


def table_of(request: HttpRequest, tenant: Tenant, found: LetterSummary) -> dict[str, Any]:
    """The groups, as unfold's table component takes them."""
    role = role_in(request, tenant.pk)
    return {
        "headers": ["Code", "Metric", "Letters", "Events", "Last seen", "What helps", ""],
        "rows": [
            [
                _link(tenant, group),
                group.metric,
                f"{group.letters:,}",
                f"{group.events:,}",
                date_format(group.last_seen_at, "Y-m-d H:i"),
                format_html('<span class="whitespace-normal">{}</span>', group.mend),
                _acts(tenant, group, role),
            ]
            for group in found.groups
        ],
    }


def _link(tenant: Tenant, group: LetterGroup) -> SafeString:
    """The letters of a group, in the list."""
    query = {
        "tenant": tenant.slug,
        "status__exact": DeadLetter.Status.OPEN,
        "code": group.code,
        "metric__exact": group.metric,
    }
    page = reverse("admin:metering_deadletter_changelist")
    return format_html(
        '<a class="font-semibold" href="{}?{}">{}</a>', page, urlencode(query), group.code
    )


def _acts(tenant: Tenant, group: LetterGroup, role: str) -> SafeString:
    """What somebody in this role may do about a group."""
    query = {"tenant": tenant.slug, "code": group.code, "metric": group.metric}
    acts = []
    if group.code == UNKNOWN and group.metric and role in CATALOG_WRITERS:
        acts.append(("unit", query, "Create the unit and replay"))
    if role in USAGE_WRITERS:
        if group.code not in NOT_REPLAYABLE:
            acts.append(("decide", query | {"act": "REPLAY"}, "Replay"))
        acts.append(("decide", query | {"act": "DISCARD"}, "Discard"))
    return format_html_join(
        " · ",
        '<a class="text-primary-600 dark:text-primary-500 whitespace-nowrap" href="{}?{}">{}</a>',
        (
            (reverse(f"admin:metering_deadletter_{name}"), urlencode(about), text)
            for name, about, text in acts
        ),
    )
