"""The provenance of one event as tables of the admin, in the order in which it happened."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from aforo.money import plain
from metering.provenance import Provenance, found_by, gates_of, routing_of

_CELL = '<td class="px-3 py-1.5 align-top">{}</td>'
_HEAD = '<td class="px-3 py-1.5 align-top w-48 opacity-70">{}</td>'
_ORDER = "claim decode judge lock rate write"  # JSON keeps none
_FOUND = {
    "EXTERNAL_ID": "its external id",
    "OWN_ID": "its own id",
    "ALIAS": "an alias",
    None: "a name that is not kept any more",
}


def table(rows: Iterable[tuple[object, ...]]) -> SafeString:
    """Rows of a name and what there is to say; a row of nothing is left out."""
    told = [row for row in rows if row[1] not in {None, ""}]
    lines = [
        format_html(
            "<tr>{}{}</tr>",
            format_html(_HEAD, row[0]),
            format_html_join("", _CELL, ((cell,) for cell in row[1:])),
        )
        for row in told
    ]
    return format_html(
        '<table class="w-full text-sm">{}</table>', format_html_join("", "{}", zip(lines))
    )


def origin(chain: Provenance) -> SafeString:
    """Who sent it, by which door, and when it went where."""
    event, receipt, key = chain.event, chain.receipt, chain.api_key
    rows: list[tuple[object, ...]] = [
        ("source", event.source),
        ("door", receipt.door if receipt else ""),
        ("key", _linked("tenancy_apikey", key.pk, f"{key} {key.name}") if key else ""),
        ("batch", _batch(chain)),
        ("place in its batch", str(event.batch_index)),
        ("received, tenant's clock", moment(event.received_at)),
    ]
    if receipt is None:
        return table([*rows, ("receipt", "not kept any more")])
    waited = (receipt.drained_at - receipt.arrived_at).total_seconds()
    return table(
        [
            *rows,
            ("arrived", moment(receipt.arrived_at)),
            ("drained", f"{moment(receipt.drained_at)}, {waited:.3f} s later"),
            ("its drain took", _steps(receipt.steps)),
        ]
    )


def gates(chain: Provenance) -> SafeString:
    """Each gate, what it said, when, and why."""
    return table(
        (gate.gate, gate.verdict, moment(gate.at), gate.detail) for gate in gates_of(chain)
    )


def enrichment(chain: Provenance) -> SafeString:
    """Who is billed for it, under which price."""
    customer, subscription, version = chain.customer, chain.subscription, chain.version
    unit, period = chain.unit, chain.period
    return table(
        [
            ("customer", _linked("catalog_customer", customer.pk, customer) if customer else ""),
            ("found by", _FOUND[found_by(chain)] if customer else ""),
            (
                "subscription",
                _linked("catalog_subscription", subscription.pk, subscription)
                if subscription
                else "",
            ),
            ("plan", _linked("catalog_rateplanversion", version.pk, version) if version else ""),
            ("unit", _linked("catalog_billableunit", unit.pk, unit) if unit else ""),
            ("counts the", unit.get_aggregation_display() if unit else ""),
            ("terms", str(chain.price.wire) if chain.price else ""),
            ("period", str(period) if period else ""),
        ]
    )


def routing(chain: Provenance) -> SafeString:
    """Where it is counted, and what it came to there."""
    event, total, held = chain.event, chain.total, chain.held
    currency = chain.subscription.currency if chain.subscription else ""
    shown = _linked("metering_runningtotal", total.pk, total) if total else ""
    return table(
        [
            ("decision", routing_of(chain)),
            ("counted in", shown),
            ("position", str(event.position or "")),
            ("was held", f"{held.status} by {held.decided_by}: {held.reason}" if held else ""),
            ("quantity", plain(event.quantity)),
            ("revenue", f"{plain(event.revenue)} {currency}"),
            ("cost", f"{plain(event.cost)} {currency}"),
            *(
                ("also counted as", _linked("metering_usageevent", one.pk, f"event {one.pk}"))
                for one in chain.siblings
            ),
        ]
    )


def proof(chain: Provenance) -> SafeString:
    """The event's hash and its place in the chain, and whether they agree."""
    if chain.proven is None:
        return format_html("<p>{}</p>", "Unbilled events are in no chain.")
    proven = chain.proven
    verdict = "true" if proven.verified else "BROKEN: this is not what was counted"
    return table(
        [
            ("hash, computed anew", proven.event_hash.hex()),
            ("digest before", proven.digest_before.hex()),
            ("digest", proven.digest.hex()),
            ("verified", verdict),
        ]
    )


def corrections(chain: Provenance) -> SafeString:
    """What took it back, or what it takes back itself."""
    if not chain.corrections:
        return format_html("<p>{}</p>", "none")
    return table(
        (moment(row.created_at), row.get_kind_display(), row.actor_name, row.reason)
        for row in chain.corrections
    )


def moment(at: datetime | None) -> str:
    return "" if at is None else f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _batch(chain: Provenance) -> SafeString | str:
    name = str(chain.event.batch_id)
    return _linked("metering_receipt", chain.event.batch_id, name) if chain.receipt else name


def _steps(steps: dict[str, object] | None) -> str:
    named = sorted((steps or {}).items(), key=lambda step: _ORDER.find(step[0]))
    return ", ".join(f"{step} {took} ms" for step, took in named)


def _linked(model: str, key: UUID | int, shown: object) -> SafeString:
    page = reverse(f"admin:{model}_change", args=[key])
    return format_html('<a class="underline" href="{}">{}</a>', page, shown)
