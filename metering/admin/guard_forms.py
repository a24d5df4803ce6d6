"""The form of a margin guard: before it is saved, it shows what the guard would have done."""

from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from aforo.errors import AforoError
from aforo.money import plain
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from catalog.models import RatePlan
from metering.margin.arithmetic import Level
from metering.margin.rehearsal import DAYS, Rehearsal, RehearsedCustomer
from metering.models import MarginChannel, MarginGuard
from metering.services import guards

SHOWN = 10
ASKS = "Nothing is saved yet. Look at what this guard would have done, then save again."
_LEVELS = {
    Level.L1_ALERT: "warned of",
    Level.L2_THROTTLE: "throttled",
    Level.L3_BLOCK: "blocked",
}


def _channels(label: str) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=MarginChannel.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
        label=label,
        help_text="which webhook endpoints are told; none ticked: all that take the fact",
    )


class RehearsalWidget(forms.HiddenInput):
    """Shows a rehearsal, and holds the hash of what was rehearsed."""

    told: SafeString | str = (
        "Save, and this place shows what the guard would have done over the last 30 days; nothing"
        " is stored yet. Save once more to put it in force."
    )
    input_type = "hidden"

    @property
    def is_hidden(self) -> bool:
        return False  # its row of the form is what people look at

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        return format_html("{}{}", super().render(name, value, attrs, renderer), self.told)


class GuardForm(forms.ModelForm):
    """Floors are written as lines of `plan = percent`."""

    floors_by_plan = forms.CharField(
        required=False,
        label="Floors by plan",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="one plan per line, such as: Enterprise = 25. It is blocked below that instead",
    )
    warn_channels = _channels("Tell of warnings by")
    throttle_channels = _channels("Tell of throttling by")
    block_channels = _channels("Tell of blocking by")
    rehearsal = forms.CharField(
        required=False, label=f"over the last {DAYS} days", widget=RehearsalWidget()
    )

    class Meta:
        model = MarginGuard
        fields = ("tenant", *guards.EDITABLE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = [] if self.instance._state.adding else self.instance.floors.all()  # noqa: SLF001 - public API
        lines = (f"{floor.rate_plan.name} = {plain(floor.percent)}" for floor in stored)
        self.fields["floors_by_plan"].initial = "\n".join(lines)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        tenant = self.cleaned_data.get("tenant") or getattr(self.instance, "tenant", None)
        if tenant is None or self.errors:
            return cleaned
        self.cleaned_data["floors"] = self._floors(tenant)
        if not self.errors:
            self._rehearse(tenant)
        return cleaned

    def _floors(self, tenant: Tenant) -> dict[RatePlan, Decimal]:
        found: dict[RatePlan, Decimal] = {}
        for line in self.cleaned_data["floors_by_plan"].splitlines():
            name, _, percent = line.rpartition("=")
            if not line.strip():
                continue
            plan = RatePlan.objects.for_tenant(tenant).filter(name=name.strip()).first()
            number = _number(percent)
            if plan is None or number is None:
                self.add_error("floors_by_plan", f"'{line}' names no plan and percentage")
                return {}
            found[plan] = number
        return found

    def _rehearse(self, tenant: Tenant) -> None:
        """Show the rehearsal of what was filled in, unless just that has been shown."""
        values = {name: self.cleaned_data.get(name) for name in guards.EDITABLE}
        values = {
            name: getattr(self.instance, name) if name not in self.cleaned_data else value
            for name, value in values.items()
        }
        said = repr(sorted((name, str(value)) for name, value in values.items()))
        said += repr(sorted((p.pk, str(v)) for p, v in self.cleaned_data["floors"].items()))
        seen = blake2b(said.encode(), digest_size=16).hexdigest()
        if self.cleaned_data["rehearsal"] == seen:
            return
        now = clock.now(tenant)
        guard = MarginGuard(tenant=tenant, created_at=now, **values)
        try:
            found = guards.preview_guard(guard=guard, floors=self.cleaned_data["floors"], now=now)
        except AforoError as refusal:
            self.add_error(None, refusal.detail)
            return
        widget = self.fields["rehearsal"].widget
        assert isinstance(widget, RehearsalWidget)  # noqa: S101 - made above
        widget.told = told(found)
        shown = cast(QueryDict, self.data).copy()
        shown["rehearsal"] = seen
        self.data = shown
        self.add_error(None, ASKS)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip().removesuffix("%").strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def told(found: Rehearsal) -> SafeString:
    """A rehearsal as a few sentences and a table."""
    worst = found.worst
    said = ", ".join(f"{worst[level]} {verb}" for level, verb in _LEVELS.items())
    judged = found.days[-1].judged if found.days else 0
    rows = format_html_join("", "<tr>{}</tr>", ((_cells(one),) for one in found.customers[:SHOWN]))
    return format_html(
        "<p>It looks at {} customers now. Over the last {} days it would have come to: {}.</p>"
        "<table><thead><tr><th>Customer</th><th>Worst</th><th>First on</th><th>Days held</th>"
        "<th>Revenue</th><th>Cost</th><th>Margin</th></tr></thead><tbody>{}</tbody></table>",
        judged,
        DAYS,
        said,
        rows,
    )


def _cells(one: RehearsedCustomer) -> SafeString:
    margin = one.judged.margin
    currency = one.judged.currency
    cells = (
        one.customer,
        _LEVELS[one.level],
        one.first_day.isoformat(),
        one.days,
        f"{plain(margin.revenue)} {currency}",
        f"{plain(margin.cost)} {currency}",
        margin.shown,
    )
    return format_html_join("", "<td>{}</td>", ((cell,) for cell in cells))
