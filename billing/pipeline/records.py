"""Records: what each stage was given, what it made of it, and how long it took."""

from dataclasses import dataclass, field

from aforo.money import plain
from billing.pipeline.draft import Draft, Usage
from billing.pipeline.facts import Facts
from billing.pipeline.lines import label

Snapshot = dict[str, object]

_QUANTITIES = ("rollover", "quantity", "measured", "free", "capped", "billable", "granted")


@dataclass(frozen=True, slots=True)
class Record:
    """One stage's doing. Equal records may have taken different times: all else is determined."""

    stage: str
    before: Snapshot
    after: Snapshot
    notes: tuple[str, ...]
    microseconds: int = field(compare=False)

    def as_dict(self) -> dict[str, object]:
        """JSON-safe: strings, whole numbers, lists and dicts only."""
        return {
            "stage": self.stage,
            "before": self.before,
            "after": self.after,
            "notes": list(self.notes),
            "microseconds": self.microseconds,
        }


def snapshot(draft: Draft, facts: Facts) -> Snapshot:
    """The draft in a few figures: usage until it has become lines, and what is decided.

    Units that nothing is known of, or that were not used, are left out.
    """
    figures: Snapshot = {"lines": len(draft.lines), "total": plain(draft.total())}
    if not draft.lines:
        usage = [
            {"unit": label(usage.fact, facts), **known}
            for usage in draft.usage
            if (known := _known(usage))
        ]
        figures |= {"usage": usage} if usage else {}
    if draft.to_invoice is not None:
        figures |= {"toInvoice": plain(draft.to_invoice), "finalize": draft.finalize}
    return figures


def _known(usage: Usage) -> dict[str, str]:
    cap = {} if usage.cap is None else {"cap": plain(usage.cap)}
    quantities = ((name, getattr(usage, name)) for name in _QUANTITIES)
    known = {name: plain(quantity) for name, quantity in quantities if quantity}
    if usage.measured == usage.quantity:
        known.pop("measured", None)
    return cap | known
