"""The rows that say how a source's payloads become events: checked, and replaced as a whole."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from aforo.errors import Refused
from aforo.spelling import on_the_wire
from webhooks.inbound.paths import InvalidPath, check, is_path
from webhooks.inbound.providers import PROVIDERS
from webhooks.inbound.rules import Rule, number_of
from webhooks.models import WebhookMapping, WebhookSource

MOST_RULES = 50
MOST_METADATA = 50  # of one rule
MOST_PATHS = 500  # of all rules: reading them takes a second, once per process
_PATHS = ("items", "occurred_at", "event_key")  # these are nothing but paths
_EXPRESSIONS = ("customer", "metric", "quantity")


def template_of(source: WebhookSource) -> list[Rule]:
    """What a new source of its provider begins with; its own metric, if it has one, is counted."""
    rules = PROVIDERS[source.provider].rules
    return [replace(rule, metric="") if source.metric else rule for rule in rules]


def replace_rules(source: WebhookSource, rules: Sequence[Rule]) -> None:
    """Make these the rules of a source, in the caller's transaction; raises Refused by field."""
    require_sound(rules)
    WebhookMapping.objects.for_tenant(source.tenant_id).filter(source=source).delete()
    WebhookMapping.objects.bulk_create(
        WebhookMapping(
            tenant_id=source.tenant_id, source=source, position=position, **columns(rule)
        )
        for position, rule in enumerate(rules, start=1)
    )


def columns(rule: Rule) -> dict[str, object]:
    """A rule as its row has it."""
    row = asdict(rule)
    return row | {"event_types": list(rule.event_types), "metadata": dict(rule.metadata)}


def require_sound(rules: Sequence[Rule]) -> None:
    """Raise Refused for what can never find anything, naming the rule and its field."""
    if len(rules) > MOST_RULES:
        raise Refused.naming("mappings", "INVALID", f"at most {MOST_RULES}")
    if sum(is_path(one) for rule in rules for _, one in _expressions(rule)) > MOST_PATHS:
        raise Refused.naming("mappings", "INVALID", f"at most {MOST_PATHS} paths in all of them")
    for index, rule in enumerate(rules):
        if len(rule.metadata) > MOST_METADATA:
            raise _refused(f"mappings[{index}].metadata", f"at most {MOST_METADATA} names")
        for name, expression in _expressions(rule):
            field = f"mappings[{index}].{on_the_wire(name)}"
            _require_path(field, expression, is_only_path=name in _PATHS)
        if not rule.customer and not rule.customer_default:
            raise _refused(f"mappings[{index}].customer", "says whose usage it is")
        is_text = rule.quantity and not rule.quantity.startswith(("$", "@"))
        if is_text and number_of(rule.quantity) is None:
            raise _refused(f"mappings[{index}].quantity", "is neither a path nor a number")


def _expressions(rule: Rule) -> Iterable[tuple[str, str]]:
    for name in (*_PATHS, *_EXPRESSIONS):
        yield name, getattr(rule, name)
    for name, expression in rule.metadata.items():
        yield f"metadata.{name}", expression


def _require_path(field: str, expression: str, *, is_only_path: bool) -> None:
    if is_only_path and expression and not expression.startswith(("$", "@")):
        raise _refused(field, "is no JSONPath: those begin with $ or @")
    try:
        check(expression)
    except InvalidPath as error:
        raise _refused(field, str(error)) from None


def _refused(field: str, message: str) -> Refused:
    return Refused.naming(field, "INVALID", message)
