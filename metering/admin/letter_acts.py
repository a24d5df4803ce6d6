"""Acts on many dead letters: asked about once, with a reason, and carried out as one decision."""

from collections import Counter
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.admin_base import TenantScopedAdmin, actor_of, role_in
from aforo.tenancy.models import Tenant
from aforo.tenancy.roles import CATALOG_WRITERS
from metering.admin.letter_forms import ReasonForm, UnitForm
from metering.admin.letter_overview import counted
from metering.models import DeadLetter, LetterDecision
from metering.refusals import mend_for
from metering.selectors.letters import Chosen, open_letters
from metering.services.letter_decisions import decide_now
from metering.services.units_from_letters import CODE as UNKNOWN
from metering.services.units_from_letters import create_unit_and_replay

MOST_CHOSEN = 10_000  # letters ticked in the list; more are chosen by code and metric
Act = LetterDecision.Act
_OVERVIEW = "admin:metering_deadletter_overview"


class LetterActs(TenantScopedAdmin):
    """The pages that ask before many letters are decided."""

    def ask_about(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], act: str
    ) -> HttpResponse:
        """Ask about letters that were ticked in the list, which must be of one tenant."""
        ticked = list(queryset.values_list("pk", "tenant")[: MOST_CHOSEN + 1])
        tenants = Counter(tenant_id for _, tenant_id in ticked)
        if len(ticked) > MOST_CHOSEN or len(tenants) != 1:
            text = "Choose letters of one tenant, and by what is wrong if they are very many."
            self.message_user(request, text, messages.ERROR)
            return redirect(request.get_full_path())
        tenant = Tenant.objects.get(pk=next(iter(tenants)))
        return self._ask(request, tenant, act, Chosen(ids=tuple(pk for pk, _ in ticked)))

    def decide_view(self, request: HttpRequest) -> HttpResponse:
        """Ask about a group of letters, and decide about it or about those that were ticked."""
        given = request.POST if request.method == "POST" else request.GET
        tenant = self._own_tenant(request, given.get("tenant", ""))
        act = given.get("act", "")
        if act not in Act:
            raise Http404
        chosen = _chosen(given)
        if request.method != "POST":
            return self._ask(request, tenant, act, chosen)
        form = ReasonForm(request.POST, is_required=act == Act.DISCARD)
        if form.is_valid():
            try:
                decision = decide_now(
                    tenant=tenant,
                    act=act,
                    chosen=chosen,
                    actor=actor_of(request, tenant),
                    now=clock.now(tenant),
                    reason=form.cleaned_data["reason"],
                )
            except AforoError as refusal:
                form.add_error(None, refusal.detail)
            else:
                return self._told(request, tenant, decision)
        return self._ask(request, tenant, act, chosen, form)

    def unit_view(self, request: HttpRequest) -> HttpResponse:
        """Create the unit that refused events named, and send them again."""
        given = request.POST if request.method == "POST" else request.GET
        tenant, metric = self._readable_tenant(request, given.get("tenant", "")), given["metric"]
        if role_in(request, tenant.pk) not in CATALOG_WRITERS:
            raise PermissionDenied
        form = UnitForm(request.POST) if request.method == "POST" else _unit_form(metric)
        if request.method == "POST" and form.is_valid():
            try:
                made = create_unit_and_replay(
                    tenant=tenant,
                    metric=metric,
                    unit=form.unit(),
                    actor=actor_of(request, tenant),
                    now=clock.now(tenant),
                )
            except AforoError as refusal:
                form.add_error(None, refusal.detail)
            else:
                text = f"Billable unit '{made.unit}' is there. No plan prices it yet."
                self.message_user(request, text, messages.SUCCESS)
                return self._told(request, tenant, made.decision)
        chosen = Chosen(code=UNKNOWN, metric=metric)
        return self.page(
            request,
            "metering/letters_unit.html",
            f"Create a billable unit for {metric}",
            form=form,
            tenant=tenant,
            metric=metric,
            **_counts(tenant, chosen),
        )

    def _ask(
        self,
        request: HttpRequest,
        tenant: Tenant,
        act: str,
        chosen: Chosen,
        form: ReasonForm | None = None,
    ) -> HttpResponse:
        return self.page(
            request,
            "metering/letters_decide.html",
            "Replay dead letters" if act == Act.REPLAY else "Discard dead letters",
            form=form or ReasonForm(is_required=act == Act.DISCARD),
            tenant=tenant,
            act=act,
            chosen=chosen,
            ids=" ".join(map(str, chosen.ids)),
            mend=mend_for(chosen.code or ""),
            **_counts(tenant, chosen),
        )

    def _told(self, request: HttpRequest, tenant: Tenant, decision: LetterDecision) -> HttpResponse:
        done = "sent again" if decision.act == Act.REPLAY else "discarded"
        events = counted(decision.events, "event")
        text = f"{counted(decision.letters, 'letter')} ({events}) {done}"
        if decision.finished_at is None:
            text += "; a worker goes on with the others"
        self.message_user(request, f"{text}.", messages.SUCCESS)
        return redirect(f"{reverse(_OVERVIEW)}?{urlencode({'tenant': tenant.slug})}")

    def _readable_tenant(self, request: HttpRequest, slug: str) -> Tenant:
        """A tenant that may be seen; another one is as absent as none."""
        tenant = Tenant.objects.filter(slug=slug).first()
        if tenant is None or not role_in(request, tenant.pk):
            raise Http404
        return tenant

    def _own_tenant(self, request: HttpRequest, slug: str) -> Tenant:
        """A tenant about whose usage whoever asks may decide."""
        tenant = self._readable_tenant(request, slug)
        if role_in(request, tenant.pk) not in self.write_roles:
            raise PermissionDenied
        return tenant


def _chosen(given: Any) -> Chosen:
    """The letters that a page is about: those ticked, or those of a code and metric."""
    try:
        ids = tuple(UUID(text) for text in given.get("ids", "").split())
    except ValueError:
        raise Http404 from None
    if ids:
        return Chosen(ids=ids)
    return Chosen(code=given.get("code"), metric=given.get("metric"))


def _counts(tenant: Tenant, chosen: Chosen) -> dict[str, str]:
    """How many are meant, as the pages say it."""
    found = open_letters(tenant.pk, chosen).order_by()
    events = found.aggregate(events=Sum("occurrences"))["events"] or 0
    return {
        "letters": counted(found.count(), "open letter"),
        "events": counted(events, "event"),
    }


def _unit_form(metric: str) -> UnitForm:
    return UnitForm(initial={"name": metric})
