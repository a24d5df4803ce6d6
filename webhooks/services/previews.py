"""What a payload would become, by the rules as they are or as they might be; nothing is kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from uuid import UUID

import msgspec

from aforo.tenancy.models import TenantQuerySet
from metering.ingest.events import Event, Refusal, decode_one
from metering.ingest.gates import check_quantity, check_text, unknown_metric
from webhooks.inbound.mapping import Headers, Made, made_of
from webhooks.inbound.paths import Search
from webhooks.inbound.rules import Rule
from webhooks.inbound.walking import Allowance
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.selectors import refused_metrics
from webhooks.services.counting import payloads_of
from webhooks.services.mappings import require_sound
from webhooks.services.pushes import Verdict
from webhooks.services.readings import reading_of, rules_of
from webhooks.services.replays import REPLAYABLE

MOST_LATEST = 50
MOST_PAYLOADS = 100  # of one push: nobody reads further
MOST_PLACES = 500_000  # of one preview: half a second of a web process
MOST_BYTES = 4 * 1024 * 1024  # of the latest pushes, or the newest alone: as long to decode
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Previewed:
    """What one payload would become, and of which push it is."""

    event_type: str
    verdict: Verdict
    events: tuple[dict[str, object], ...] = ()
    why: Refusal | None = None
    delivery_id: UUID | None = None


def preview(
    *,
    source: WebhookSource,
    payload: object,
    event_type: str = "",
    rules: Sequence[Rule] | None = None,
) -> list[Previewed]:
    """What a payload, or each of an array, would become; raises Refused for rules that are none."""
    said = Headers(event_type=event_type)
    payloads = payload if isinstance(payload, list) else [payload]
    return _previews(source, payloads, said, rules, Search(Allowance(MOST_PLACES)))


def preview_latest(
    *, source: WebhookSource, count: int, rules: Sequence[Rule] | None = None
) -> list[Previewed]:
    """The same for the newest pushes of a source that it has proven to be its own."""
    allowance = Allowance(MOST_PLACES)
    return [
        replace(one, delivery_id=delivery.pk)
        for delivery in _decodable(latest_of(source), min(count, MOST_LATEST))
        for one in _previews(
            source,
            payloads_of(delivery),
            Headers(event_id=delivery.provider_key, event_type=delivery.event_type),
            rules,
            Search(allowance),
        )
    ]


def _decodable(found: TenantQuerySet, count: int) -> TenantQuerySet:
    """The newest pushes, as many as may be decoded for one preview, one at least."""
    newest = list(found.values_list("pk", "size")[:count])
    sizes = accumulate(size for _, size in newest)
    chosen = [pk for (pk, _), size in zip(newest, sizes, strict=True) if size <= MOST_BYTES]
    return found.filter(pk__in=chosen or [pk for pk, _ in newest[:1]])


def latest_of(source: WebhookSource) -> TenantQuerySet:
    """The pushes of a source that could be read, newest first."""
    own = WebhookDelivery.objects.for_tenant(source.tenant_id).filter(
        source=source, forgotten_at=None
    )
    return own.filter(verdict__in=(*REPLAYABLE, Verdict.RECEIVED)).order_by("-id")


def _previews(
    source: WebhookSource,
    payloads: list[object],
    said: Headers,
    rules: Sequence[Rule] | None,
    search: Search,
) -> list[Previewed]:
    if rules is None:
        rules = rules_of(source)
    require_sound(rules)
    reading = reading_of(source, rules)
    makes = [
        made_of(one, reading, said.of(place, len(payloads)), search)
        for place, one in enumerate(payloads[:MOST_PAYLOADS])
    ]
    metrics = {str(event["metricName"]) for made in makes for event in made.events}
    refused = refused_metrics(source.tenant_id, metrics)
    return [_previewed(made, refused) for made in makes]


def _previewed(made: Made, refused: Collection[str]) -> Previewed:
    """The gates judge too what does not depend on the time, and whether its metric is taken."""
    if made.why is not None:
        return Previewed(made.event_type, Verdict.UNMAPPED, why=made.why)
    if not made.events:
        return Previewed(made.event_type, Verdict.FILTERED)
    flaws = [_flaw(event, refused) for event in made.events]
    why = next((flaw for flaw in flaws if flaw is not None), None)
    return Previewed(made.event_type, Verdict.ACCEPTED, made.events, why)


def _flaw(made: dict[str, object], refused: Collection[str]) -> Refusal | None:
    event = decode_one(_encoder.encode(made))
    if not isinstance(event, Event):
        return event
    flaw = check_quantity(event) or check_text(event)
    return flaw or (unknown_metric(event.metricName) if event.metricName in refused else None)
