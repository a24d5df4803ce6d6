"""Contracts over HTTP."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.periods import start_of_day
from catalog.api.agreed_prices import phase_drafts
from catalog.api.contract_serializers import (
    ContractEdits,
    ContractSerializer,
    NewContract,
    Termination,
)
from catalog.api.fields import found, missing
from catalog.models import Contract, Customer, Subscription
from catalog.months import months_after
from catalog.selectors import listings, special_terms
from catalog.services import contracts, sales


class ContractFilter(filters.FilterSet):
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815 - its name on the wire
    subscriptionId = filters.UUIDFilter("subscription_id")  # noqa: N815
    status = filters.ChoiceFilter(choices=Contract.Status.choices)
    endsBefore = filters.IsoDateTimeFilter("end_at", lookup_expr="lt")  # noqa: N815

    def of_customer(self, rows: QuerySet[Contract], name: str, value: str) -> QuerySet[Contract]:
        return rows.filter(listings.customer_called(value, "customer__"))


class ContractView(TenantAPIView):
    """What the views of contracts share."""

    selector = special_terms.contracts
    serializer_class = ContractSerializer

    def answer_again(self, contract: Contract, *, status: int = 200) -> Response:
        """The contract as it is now, read whole once more."""
        return self.answer(self.get_queryset().get(pk=contract.pk), status=status)


class Contracts(ContractView, TenantListView):
    """What single customers have agreed beyond the price list."""

    filterset_class = ContractFilter

    @extend_schema(request=NewContract, responses={201: ContractSerializer})
    def post(self, request: Request) -> Response:
        """Write a contract down; with the status ACTIVE, agree it at once."""
        asked = self.read(NewContract)
        customer = customer_called(self, asked.pop("customer_id"))
        subscription = self._subscription(asked.pop("subscription_id", None))
        zone = (subscription or self.tenant).time_zone
        start = moment(asked.pop("start"), zone, bound="start")
        months, end = asked.pop("term_months", None), asked.pop("end", None)
        usual = (subscription or customer).currency or self.tenant.currency
        status, phases = asked.pop("status"), asked.pop("phases", [])
        now = self.now()
        with transaction.atomic():
            contract = contracts.create_contract(
                tenant=self.tenant,
                actor=self.actor,
                now=now,
                customer=customer,
                subscription=subscription,
                start_at=start,
                end_at=moment(end, zone, bound="end") if end else months_after(start, months, zone),
                phases=phase_drafts(self.tenant, phases),
                **{"currency": usual, **asked},
            )
            if status == Contract.Status.ACTIVE:
                contracts.activate_contract(contract=contract, actor=self.actor, now=now)
        return self.answer_again(contract, status=201)

    def _subscription(self, subscription_id: UUID | None) -> Subscription | None:
        if subscription_id is None:
            return None
        rows = listings.subscriptions(tenant=self.tenant)
        subscription: Subscription = found(rows, subscription_id, field="subscriptionId")
        return subscription


class ContractDetail(ContractView, TenantDetailView):
    """One contract."""

    @extend_schema(request=ContractEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change a draft; of an agreed contract only its name and whether it is renewed."""
        contract, asked = self.get_object(), self.read(ContractEdits)
        zone = contracts.zone_of(contract)
        phases = asked.pop("phases", None)
        for bound in ("start", "end"):
            if bound in asked:
                asked[f"{bound}_at"] = moment(asked.pop(bound), zone, bound=bound)
        contracts.edit_contract(
            contract=contract,
            edits=asked,
            phases=None if phases is None else phase_drafts(self.tenant, phases),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer_again(contract)


class ContractActivation(ContractView):
    """Agreeing a contract."""

    @extend_schema(request=None)
    def post(self, request: Request, **path: Any) -> Response:
        """Put a draft in force for the billing periods to come; again changes nothing."""
        contract = self.get_object()
        contracts.activate_contract(contract=contract, actor=self.actor, now=self.now())
        return self.answer_again(contract)


class ContractTermination(ContractView):
    """Giving up a contract."""

    @extend_schema(request=Termination)
    def post(self, request: Request, **path: Any) -> Response:
        """End it before its term: periods that have begun keep its terms. Again changes nothing."""
        asked = self.read(Termination, may_be_empty=True)
        contract = self.get_object()
        contracts.terminate_contract(
            contract=contract, actor=self.actor, now=self.now(), reason=asked["reason"]
        )
        return self.answer_again(contract)


def customer_called(view: TenantAPIView, name: str) -> Customer:
    """The tenant's customer with this external id or, failing that, with this own id."""
    rows = listings.customers(tenant=view.tenant).filter(listings.customer_called(name))
    customer = max(rows, key=lambda row: row.external_id == name, default=None)
    if customer is None:
        raise missing("customerId", name)
    return customer


def moment(when: datetime | date, zone: str, *, bound: str) -> datetime:
    """A date as the moment it begins in `zone`; refused by its field where no calendar reaches."""
    sales.require_in_reach(when, bound)
    return when.astimezone(UTC) if isinstance(when, datetime) else start_of_day(when, zone)
