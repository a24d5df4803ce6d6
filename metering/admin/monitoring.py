"""Two pages that move: how metering does now, and what happens to events as it happens."""

import json
from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.money import round_to_minor
from aforo.tenancy.admin_base import is_superuser
from aforo.tenancy.models import Tenant
from catalog.admin.base import tenants_to_choose
from metering.ingest.acknowledgements import Latency, health_of, in_milliseconds, latency_of
from metering.ingest.live import Step
from metering.selectors.ingestion import Health, Ingestion, Minute, ingestion
from metering.selectors.live_summary import Figures, LiveSummary, live_summary
from metering.stream.access import Access, address, ticket_for

REFRESH_SECONDS = 60
_COLOURS = {
    Health.HEALTHY: "text-green-700 dark:text-green-400",
    Health.DEGRADED: "text-orange-700 dark:text-orange-400",
    Health.THROTTLED: "text-orange-700 dark:text-orange-400",
    Health.DOWN: "text-red-700 dark:text-red-400",
    Health.NO_DATA: "text-base-500",
}
_CHART_OPTIONS = json.dumps(
    {
        "animation": False,
        "maintainAspectRatio": False,
        "plugins": {"legend": {"align": "end"}},
        "scales": {
            "x": {
                "stacked": True,
                "grid": {"display": False},
                "ticks": {"maxTicksLimit": 13, "maxRotation": 0},
            },
            "y": {"stacked": True, "beginAtZero": True, "ticks": {"precision": 0}},
        },
    }
)
Card = dict[str, str]
Table = dict[str, list[Any]]


def ingestion_page(request: HttpRequest) -> HttpResponse:
    """The last hour of one tenant: figures, charts, sources, units, errors."""
    tenants = own_tenants(request)
    if not tenants:
        return _without_tenants(request, "Ingestion")
    tenant, now = chosen(request, tenants), timezone.now()
    found = ingestion(tenant=tenant, now=now)
    latency = latency_of(tenant.pk, minute=int(now.timestamp()) // 60)
    context = admin.site.each_context(request) | {
        "title": "Ingestion",
        "tenant": tenant,
        "tenants": tenants,
        "refresh": REFRESH_SECONDS,
        "as_of": now,
        "today": _today_cards(live_summary(tenant=tenant, now=now)),
        "cards": _cards(found, latency),
        "chart": _chart(found.minutes),
        "chart_options": _CHART_OPTIONS,
        "sources": _sources(found, latency),
        "units": _units(found),
        "errors": {
            "headers": ["Code", "Events"],
            "rows": [[code, f"{events:,}"] for code, events in found.errors],
        },
    }
    return TemplateResponse(request, "metering/ingestion.html", context)


def live_page(request: HttpRequest) -> HttpResponse:
    """The stream of one tenant, shown by the browser."""
    tenants = own_tenants(request)
    if not tenants:
        return _without_tenants(request, "Live events")
    tenant = chosen(request, tenants)
    context = admin.site.each_context(request) | {
        "title": "Live events",
        "tenant": tenant,
        "tenants": tenants,
        "steps": [step.value for step in Step],
        "tickets": f"{reverse('metering_live_ticket')}?tenant={tenant.slug}",
    }
    return TemplateResponse(request, "metering/live.html", context)


def live_ticket(request: HttpRequest) -> HttpResponse:
    """A ticket for the page's EventSource: it opens one tenant's stream for a minute."""
    tenant = chosen(request, own_tenants(request))
    user = cast(User, request.user)
    ticket = ticket_for(Access(tenant.pk, user_id=user.pk))
    return JsonResponse({"ticket": ticket, "url": address()})  # the admin is never cached


def own_tenants(request: HttpRequest) -> list[Tenant]:
    """The tenants that somebody may see, those that have customers first.

    PermissionDenied where others may, and they may not.
    """
    tenants = list(tenants_to_choose(request))
    if not tenants and not is_superuser(request):
        raise PermissionDenied
    return tenants


def _without_tenants(request: HttpRequest, title: str) -> HttpResponse:
    """What a superuser sees on a new installation."""
    context = admin.site.each_context(request) | {"title": title}
    return TemplateResponse(request, "metering/no_tenant.html", context)


def chosen(request: HttpRequest, tenants: Iterable[Tenant]) -> Tenant:
    """The one that `?tenant=` names, else the first; Http404 for somebody else's."""
    slug = request.GET.get("tenant")
    for tenant in tenants:
        if slug is None or tenant.slug == slug:
            return tenant
    raise Http404


def _cards(found: Ingestion, latency: Latency) -> list[Card]:
    backlog = found.backlog
    waiting = f"the oldest for {backlog.oldest_seconds:,.1f} s" if backlog.batches else "drained"
    p50, p99 = in_milliseconds(latency.p50), in_milliseconds(latency.p99)
    active = sum(bool(one.recent_events) for one in found.sources)
    return [
        _card(
            "Events per minute",
            f"{found.events_per_minute:,.1f}",
            f"{found.events:,} in the last hour",
        ),
        _card("Success rate", _percent(found.success_rate), f"{found.refused:,} refused"),
        _card("Active sources", f"{active}", f"{len(found.sources)} in the last hour"),
        _card(
            "Acknowledged within",
            "no requests" if p99 is None else f"{p99:,.1f} ms",
            f"p99 of {latency.requests:,} requests; p50 {p50 or 0:,.1f} ms",
        ),
        _card("Waiting in the inbox", f"{backlog.events:,}", waiting),
        _card(
            "Open dead letters",
            f"{found.dead_letters:,}",
            f"{found.schema_violations:,} of wrong shape in the last hour",
            link=f"{reverse('admin:metering_deadletter_changelist')}?status__exact=OPEN",
        ),
    ]


def _today_cards(found: LiveSummary) -> list[Card]:
    recovered = round_to_minor(found.recovered.today, found.currency)
    late = round_to_minor(found.late_value.today, found.currency)
    duplicates = round_to_minor(found.duplicate_value.today, found.currency)
    return [
        _card("Events today", f"{found.events.today:,}", _before(found.events)),
        _card("Duplicates caught today", f"{found.duplicates.today:,}", _before(found.duplicates)),
        _card(
            "Recovered today",
            f"{recovered:,} {found.currency}",
            f"from dead letters; about {late:,} from late events",
        ),
        _card(
            "Not charged twice today",
            f"≈ {duplicates:,} {found.currency}",
            "duplicates at the mean price of an event",
        ),
    ]


def _before(figures: Figures) -> str:
    return f"{figures.yesterday:,} yesterday by now, {figures.month:,} this month"


def _card(title: str, figure: str, note: str, link: str = "") -> Card:
    return {"title": title, "figure": figure, "note": note, "link": link}


def _percent(share: float | None) -> str:
    return "no events" if share is None else f"{share:.2%}"


def _chart(minutes: list[Minute]) -> str:
    """The bars of unfold's chart: what counts, and what was refused."""
    return json.dumps(
        {
            "labels": [f"{minute.at:%H:%M}" for minute in minutes],
            "datasets": [
                {
                    "label": "events",
                    "data": [minute.events - minute.refused for minute in minutes],
                    "backgroundColor": "var(--color-primary-600)",
                },
                {
                    "label": "refused",
                    "data": [minute.refused for minute in minutes],
                    "backgroundColor": "var(--color-red-500)",
                },
            ],
        }
    )


def _sources(found: Ingestion, latency: Latency) -> Table:
    return {
        "headers": ["Source", "Route", "Key", "Health", "Events", "Refused", "Last seen"],
        "rows": [
            [
                one.source,
                one.door,
                one.key_name or "none",
                _coloured(health_of(one, latency)),
                f"{one.events:,}",
                f"{one.refused:,}",
                f"{one.last_seen_at:%H:%M:%S}",
            ]
            for one in found.sources
        ],
    }


def _units(found: Ingestion) -> Table:
    return {
        "headers": ["Billable unit", "Metric", "Health", "Last event"],
        "rows": [
            [
                unit.name,
                unit.metric,
                _coloured(unit.health),
                f"{unit.last_event_at:%Y-%m-%d %H:%M}" if unit.last_event_at else "none yet",
            ]
            for unit in found.units
        ],
    }


def _coloured(health: Health) -> SafeString:
    return format_html('<span class="font-semibold {}">{}</span>', _COLOURS[health], health.value)
