"""Invoices: what is owed for one period, line by line. Their content never changes once issued."""

import pgtrigger
from django.db import models
from django.db.models import Q

from aforo.fields import ExactDecimalField
from aforo.tenancy.models import TenantOwned
from billing.models.bill_runs import BillRun
from catalog.models import BillingEntity, Customer, Subscription, SubscriptionPeriod


class Invoice(TenantOwned):
    """What one customer owes for one period, with everything that the paper shows copied in.

    An OPENING bills what is due when a subscription begins, a PROGRESS usage so far, which the
    invoice of the period takes off again. A CONSOLIDATED one is the sum of others, its parts, which
    bear its number and a suffix. An ADJUSTMENT bills late usage alone, when there is no period left
    that could carry it; its `period` is the last one of the subscription, and its dates are those
    of the usage.
    """

    class Kind(models.TextChoices):
        PERIOD = "PERIOD", "Period"
        ADJUSTMENT = "ADJUSTMENT", "Adjustments alone"
        OPENING = "OPENING", "First fees, in advance"
        PROGRESS = "PROGRESS", "Usage so far"
        CONSOLIDATED = "CONSOLIDATED", "Several in one"

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        OPEN = "OPEN", "Open"
        PAID = "PAID", "Paid"
        OVERDUE = "OVERDUE", "Overdue"
        UNCOLLECTIBLE = "UNCOLLECTIBLE", "Uncollectible"
        VOID = "VOID", "Void"

    class TaxStatus(models.TextChoices):
        SETTLED = "SETTLED", "Settled"
        PENDING = "PENDING", "Engine not asked yet"
        FAILED = "FAILED", "Engine failed"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    subscription = models.ForeignKey(
        Subscription,
        null=True,
        on_delete=models.PROTECT,
        related_name="invoices",
        help_text="null: a consolidated one",
    )
    period = models.ForeignKey(
        SubscriptionPeriod, null=True, on_delete=models.PROTECT, related_name="invoices"
    )
    billing_entity = models.ForeignKey(
        BillingEntity, on_delete=models.PROTECT, related_name="invoices"
    )
    bill_run = models.ForeignKey(
        BillRun,
        null=True,
        on_delete=models.PROTECT,
        related_name="invoices",
        help_text="null: made on demand, or because usage was worth the threshold",
    )
    part_of = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="parts",
        help_text="the consolidated invoice that it is a part of",
    )
    replaces = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="replacements",
        help_text="the void invoice that it was made instead of",
    )
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.PERIOD, db_default="PERIOD")
    status = models.CharField(max_length=14, choices=Status, default=Status.DRAFT)
    # Null until it is drawn: an empty text would be one number for all drafts.
    number = models.CharField(max_length=60, null=True, blank=True)  # noqa: DJ001
    currency = models.CharField(max_length=3)
    subtotal = models.DecimalField(max_digits=38, decimal_places=4)
    discount_total = models.DecimalField(max_digits=38, decimal_places=4)
    tax_total = models.DecimalField(max_digits=38, decimal_places=4)
    total = models.DecimalField(max_digits=38, decimal_places=4)
    period_start_at = models.DateTimeField()
    period_end_at = models.DateTimeField()
    seller = models.JSONField(help_text="the billing entity as it was: name, address, numbers")
    buyer = models.JSONField(help_text="the customer as it was")
    digest = models.BinaryField(help_text="SHA-256 over the digests of its usage lines")
    created_at = models.DateTimeField()
    tax_status = models.CharField(
        max_length=8, choices=TaxStatus, default=TaxStatus.SETTLED, db_default="SETTLED"
    )
    tax_error = models.TextField(blank=True, default="", db_default="")
    tax_attempts = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="how often the engine was asked"
    )
    tax_retry_at = models.DateTimeField(
        null=True, blank=True, help_text="when the engine is asked again"
    )
    draft_until = models.DateTimeField(
        null=True, blank=True, help_text="when its days of grace end and it is issued by itself"
    )
    issued_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "invoices"
        ordering = ("-created_at",)
        indexes = (
            models.Index(name="invoices_of_customer", fields=("tenant", "customer", "-created_at")),
            models.Index(name="invoices_by_status", fields=("tenant", "status", "-created_at")),
            models.Index(
                name="open_invoices_by_due_date",
                fields=("tenant", "due_at"),
                condition=Q(status="OPEN"),
            ),
            models.Index(
                name="drafts_without_tax",
                fields=("created_at",),
                condition=Q(status="DRAFT", tax_status__in=("PENDING", "FAILED")),
            ),
            models.Index(
                name="drafts_in_grace",
                fields=("tenant", "draft_until"),
                condition=Q(status="DRAFT", draft_until__isnull=False),
            ),
        )
        constraints = (
            models.UniqueConstraint(
                name="period_is_billed_once",
                fields=("period",),
                condition=Q(kind="PERIOD") & ~Q(status="VOID"),
            ),
            models.UniqueConstraint(
                name="period_is_opened_once",
                fields=("period",),
                condition=Q(kind="OPENING") & ~Q(status="VOID"),
            ),
            models.UniqueConstraint(
                name="void_invoice_is_replaced_once",
                fields=("replaces",),
                condition=~Q(status="VOID"),
            ),
            models.UniqueConstraint(
                name="invoice_number_is_given_once", fields=("billing_entity", "number")
            ),
            models.CheckConstraint(
                name="drafts_have_no_number",
                condition=Q(status="DRAFT", number__isnull=True, issued_at__isnull=True)
                | ~Q(status="DRAFT"),
            ),
            models.CheckConstraint(
                name="invoice_total_adds_up",
                condition=Q(
                    total=models.F("subtotal") - models.F("discount_total") + models.F("tax_total"),
                    total__gte=0,
                    discount_total__gte=0,
                ),
            ),
        )
        triggers = (
            pgtrigger.Trigger(
                name="issued_invoices_never_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Q(old__status__df="DRAFT"),
                func="""
                    IF TG_OP = 'DELETE' THEN
                        RAISE EXCEPTION 'an issued invoice is never deleted';
                    END IF;
                    IF (to_jsonb(NEW) - 'status' - 'paid_at')
                       IS DISTINCT FROM (to_jsonb(OLD) - 'status' - 'paid_at')
                       AND NOT (OLD.number IS NULL AND
                           (to_jsonb(NEW) - 'status' - 'paid_at' - 'number')
                           IS NOT DISTINCT FROM (to_jsonb(OLD) - 'status' - 'paid_at' - 'number'))
                    THEN
                        RAISE EXCEPTION 'an issued invoice never changes';
                    END IF;
                    RETURN NEW;
                """,
            ),
        )

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"


class InvoiceLine(TenantOwned):
    """One line: an exact amount, what it was rounded to, and how it came about."""

    class Type(models.TextChoices):
        CHARGE = "CHARGE", "Charge"
        USAGE_FEE = "USAGE_FEE", "Usage"
        SETUP_FEE = "SETUP_FEE", "Setup fee"
        DISCOUNT = "DISCOUNT", "Discount"
        CREDIT = "CREDIT", "Credit"
        PRORATION = "PRORATION", "Proration"
        TAX = "TAX_ADJUSTMENT", "Tax"

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveSmallIntegerField()
    type = models.CharField(max_length=16, choices=Type)
    stage = models.CharField(max_length=20, help_text="the pipeline stage that made it")
    description = models.CharField(max_length=400)
    unit_id = models.UUIDField(null=True)
    version_id = models.UUIDField(null=True, help_text="the plan version that it is of")
    dimension = models.TextField(
        blank=True, default="", db_default="", help_text="values that its usage was grouped by"
    )
    tax_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    tax_percent = models.DecimalField(max_digits=15, decimal_places=12, null=True)
    of_line = models.PositiveSmallIntegerField(
        null=True, help_text="position of the line that a tax or a discount is of"
    )
    covers_start_at = models.DateTimeField(
        null=True, help_text="of a fee in advance: the period that it pays for"
    )
    covers_end_at = models.DateTimeField(null=True)
    ahead = models.BooleanField(
        null=True, help_text="a fee of the next period; a discount of those alone, or of others"
    )
    period_start_at = models.DateTimeField(
        null=True, help_text="of an adjustment: the earlier period whose usage it bills"
    )
    period_end_at = models.DateTimeField(null=True)
    quantity = ExactDecimalField(null=True)
    exact_amount = ExactDecimalField()
    amount = models.DecimalField(max_digits=38, decimal_places=4)
    charges = models.JSONField(
        default=list, help_text="tier by tier: label, quantity, rate, amount"
    )
    terms = models.JSONField(null=True, help_text="the terms that made the price")

    class Meta:
        db_table = "invoice_lines"
        ordering = ("invoice", "position")
        constraints = (
            models.UniqueConstraint(name="line_has_one_place", fields=("invoice", "position")),
        )
        triggers = (
            pgtrigger.Trigger(
                name="lines_of_issued_invoices_never_change",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="""
                    IF EXISTS (
                        SELECT FROM invoices i
                        WHERE i.status <> 'DRAFT' AND i.id IN (
                            CASE WHEN TG_OP <> 'INSERT' THEN OLD.invoice_id END,
                            CASE WHEN TG_OP <> 'DELETE' THEN NEW.invoice_id END)
                    ) THEN
                        RAISE EXCEPTION 'lines of an issued invoice never change';
                    END IF;
                    RETURN COALESCE(NEW, OLD);
                """,
            ),
        )

    def __str__(self) -> str:
        return self.description

    @property
    def is_adjustment(self) -> bool:
        """Whether it bills what an earlier period took since it was billed."""
        return self.period_start_at is not None


class StageRecord(TenantOwned):
    """What each of the ten stages did to one invoice: what came in, what went out, how long."""

    invoice = models.OneToOneField(Invoice, on_delete=models.CASCADE, related_name="stage_record")
    stages = models.JSONField(help_text='[{"stage", "before", "after", "notes", "microseconds"}]')

    class Meta:
        db_table = "stage_records"
        triggers = (
            pgtrigger.Protect(name="stage_records_never_change", operation=pgtrigger.Update),
            pgtrigger.Trigger(
                name="stage_records_of_issued_invoices_stay",
                when=pgtrigger.Before,
                operation=pgtrigger.Delete,
                func="""
                    IF EXISTS (
                        SELECT FROM invoices WHERE id = OLD.invoice_id AND status <> 'DRAFT'
                    ) THEN
                        RAISE EXCEPTION 'the record of an issued invoice stays';
                    END IF;
                    RETURN OLD;
                """,
            ),
        )

    def __str__(self) -> str:
        return f"stages of {self.invoice_id}"
