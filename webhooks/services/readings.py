"""How the payloads of a source are read: its rows as the values that the mapping takes."""

from collections.abc import Sequence

from webhooks.inbound.mapping import Paths, Reading
from webhooks.inbound.paths import is_path
from webhooks.inbound.providers import PROVIDERS
from webhooks.inbound.rules import Rule
from webhooks.models import WebhookMapping, WebhookSource

RULE_FIELDS = tuple(Rule.__dataclass_fields__)


def reading_of(source: WebhookSource, rules: Sequence[Rule] = ()) -> Reading:
    """How a source's payloads are read by these rules; without any, by its plain paths."""
    return Reading(
        source_id=str(source.pk),
        paths=Paths(
            customer_id=source.customer_id_path,
            metric=source.metric_key_path,
            quantity=source.quantity_path,
            timestamp=source.timestamp_path,
            event_id=source.event_id_path,
            event_type=source.event_type_path,
            default_metric=source.metric,
        ),
        provider=PROVIDERS[source.provider],
        rules=tuple(rules),
        event_filter=tuple(source.event_filter),
    )


def rules_of(source: WebhookSource) -> list[Rule]:
    """The rules of a source, in their order."""
    return [_rule(row) for row in source.mappings.all()]


def _rule(row: WebhookMapping) -> Rule:
    values = {name: getattr(row, name) for name in RULE_FIELDS}
    return Rule(**values | {"event_types": tuple(row.event_types)})


def metrics_named(source: WebhookSource) -> set[str]:
    """The metrics of its events as far as they are not in the payloads."""
    rules = rules_of(source)
    texts = {rule.metric or source.metric for rule in rules} if rules else {source.metric}
    texts |= {rule.metric_default for rule in rules}
    return {text for text in texts if text and not is_path(text)}
