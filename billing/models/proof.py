"""Proof: which events are behind a line, exactly."""

import pgtrigger
from django.db import models

from aforo.fields import ExactDecimalField
from aforo.tenancy.models import TenantOwned
from billing.models.invoices import InvoiceLine


class BillRunEventIndex(TenantOwned):
    """The span of one running total's events that one usage line bills, and its digest."""

    line = models.ForeignKey(InvoiceLine, on_delete=models.CASCADE, related_name="spans")
    running_total_id = models.BigIntegerField()
    first_position = models.BigIntegerField(help_text="1, or what follows the last billed one")
    last_position = models.BigIntegerField(help_text="0 when there were no events")
    event_count = models.BigIntegerField(help_text="events, less those that are taken back")
    quantity = ExactDecimalField()
    revenue = ExactDecimalField()
    digest = models.BinaryField(help_text="digest of the total at the last position")

    class Meta:
        db_table = "bill_run_event_index"
        verbose_name = "billed span"
        ordering = ("line", "running_total_id")
        constraints = (
            models.UniqueConstraint(
                name="line_names_a_total_once", fields=("line", "running_total_id")
            ),
        )
        indexes = (
            models.Index(name="spans_of_total", fields=("running_total_id", "first_position")),
        )
        triggers = (
            pgtrigger.Protect(name="spans_never_change", operation=pgtrigger.Update),
            pgtrigger.Trigger(
                name="spans_of_issued_invoices_stay",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Delete,
                func="""
                    IF EXISTS (
                        SELECT FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
                        WHERE l.id = COALESCE(NEW.line_id, OLD.line_id) AND i.status <> 'DRAFT'
                    ) THEN
                        RAISE EXCEPTION 'spans of an issued invoice never change';
                    END IF;
                    RETURN COALESCE(NEW, OLD);
                """,
            ),
        )

    def __str__(self) -> str:
        return f"{self.running_total_id}: {self.first_position} to {self.last_position}"
