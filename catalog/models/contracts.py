"""Contracts: what one customer has agreed beyond the price list, phase by phase."""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from aforo.tenancy.models import TenantOwned
from catalog.models.billable_units import BillableUnit
from catalog.models.customers import Customer
from catalog.models.subscriptions import Subscription

_OF_ACTIVE_NEVER_CHANGE = """
    IF EXISTS (
        SELECT FROM contract_phases p JOIN contracts c ON c.id = p.contract_id
        WHERE c.status <> 'DRAFT'
          AND p.id IN (
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.phase_id END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.phase_id END)
    ) THEN
        RAISE EXCEPTION 'prices of an agreed contract never change';
    END IF;
    RETURN COALESCE(NEW, OLD);
"""


class Contract(TenantOwned):
    """A term of [start_at, end_at) with one customer, for all or for one of its subscriptions."""

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        ACTIVE = "ACTIVE", "Active"
        ENDED = "ENDED", "Ended"
        TERMINATED = "TERMINATED", "Terminated"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="contracts")
    subscription = models.ForeignKey(
        Subscription,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="contracts",
        help_text="empty: all of the customer's",
    )
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    minimum_spend = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="over the whole term; 0: none"
    )
    maximum_spend = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        help_text="over the whole term; empty: none",
    )
    auto_renew = models.BooleanField(default=False)
    renewal_months = models.PositiveSmallIntegerField(default=12)
    renewed_from = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="renewal"
    )
    created_at = models.DateTimeField(editable=False)
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "contracts"
        ordering = ("customer", "start_at")
        constraints = (
            models.CheckConstraint(
                name="contract_ends_after_its_start", condition=Q(end_at__gt=F("start_at"))
            ),
            models.CheckConstraint(
                name="contract_spend_is_a_range",
                condition=Q(minimum_spend__gte=0)
                & (Q(maximum_spend__isnull=True) | Q(maximum_spend__gte=F("minimum_spend"))),
            ),
        )
        indexes = (models.Index(name="contracts_of_customer", fields=("tenant", "customer")),)

    def __str__(self) -> str:
        return self.name


class ContractPhase(TenantOwned):
    """What a contract asks for and grants during [start_at, end_at) of its term: a ramp's step.

    Null leaves what the plan says; spends are per full billing period.
    """

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="phases")
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    minimum_spend = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    maximum_spend = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    discount_percent = models.DecimalField(max_digits=15, decimal_places=12, default=0)
    discount_amount = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="per period, after the percentage"
    )

    class Meta:
        db_table = "contract_phases"
        ordering = ("contract", "start_at")
        constraints = (
            models.UniqueConstraint(
                name="contract_phase_starts_once", fields=("contract", "start_at")
            ),
            models.CheckConstraint(
                name="contract_phase_ends_after_its_start", condition=Q(end_at__gt=F("start_at"))
            ),
            models.CheckConstraint(
                name="contract_phase_grants_what_can_be",
                condition=Q(
                    discount_percent__gte=0, discount_percent__lte=100, discount_amount__gte=0
                ),
            ),
        )
        triggers = (
            pgtrigger.Trigger(
                name="agreed_phases_never_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="""
                    IF EXISTS (
                        SELECT FROM contracts c
                        WHERE c.status <> 'DRAFT' AND c.id IN (
                            CASE WHEN TG_OP <> 'INSERT' THEN OLD.contract_id END,
                            CASE WHEN TG_OP <> 'DELETE' THEN NEW.contract_id END)
                    ) THEN
                        RAISE EXCEPTION 'phases of an agreed contract never change';
                    END IF;
                    RETURN COALESCE(NEW, OLD);
                """,
            ),
        )

    def __str__(self) -> str:
        return f"{self.contract} from {self.start_at:%Y-%m-%d}"


class ContractPrice(TenantOwned):
    """Other terms, or another allowance, for one unit during one phase, whatever plan prices it."""

    phase = models.ForeignKey(ContractPhase, on_delete=models.CASCADE, related_name="prices")
    unit = models.ForeignKey(BillableUnit, on_delete=models.PROTECT, related_name="+")
    terms = models.JSONField(null=True, blank=True, help_text="null: those of the plan")
    included_free = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, blank=True, help_text="instead of the plan's"
    )

    class Meta:
        db_table = "contract_prices"
        ordering = ("phase", "unit__name")
        constraints = (
            models.UniqueConstraint(
                name="unit_has_one_price_per_contract_phase", fields=("phase", "unit")
            ),
            models.CheckConstraint(
                name="contract_price_says_something",
                condition=Q(terms__isnull=False) | Q(included_free__gte=0),
            ),
        )
        triggers = (
            pgtrigger.Trigger(
                name="agreed_prices_never_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func=_OF_ACTIVE_NEVER_CHANGE,
            ),
        )

    def __str__(self) -> str:
        return f"{self.unit} in {self.phase}"
