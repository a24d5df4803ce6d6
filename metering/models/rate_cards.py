"""Rate cards: what providers ask for one unit, since when, and of which kind."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Q

from aforo.tenancy.models import TenantOwned
from catalog.models import BillableUnit
from catalog.models.subscriptions import TsTzRange


class RateCard(TenantOwned):
    """What one unit costs the seller during [valid_from, valid_until), by metadata of the event.

    An empty `dimension` is for all events of the unit, `{"model":"gpt-4o"}` for those whose
    metadata says so. Of several that hold for an event the one with most keys counts. A card
    applies to subscriptions in its own currency: nobody converts.
    """

    provider = models.CharField(max_length=80)
    unit = models.ForeignKey(BillableUnit, on_delete=models.PROTECT, related_name="rate_cards")
    dimension = models.TextField(
        blank=True, default="", help_text="canonical JSON of {metadata key: value}; empty: all"
    )
    unit_price = models.DecimalField(
        max_digits=38, decimal_places=12, help_text="what one unit costs the seller"
    )
    currency = models.CharField(max_length=3)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="the first moment that is not included; empty: for good"
    )
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "rate_cards"
        ordering = ("unit__name", "dimension", "currency", "-valid_from")
        constraints = (
            models.CheckConstraint(
                name="rate_card_asks_for_no_less_than_nothing", condition=Q(unit_price__gte=0)
            ),
            models.CheckConstraint(
                name="rate_card_ends_after_its_start",
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")),
            ),
            ExclusionConstraint(
                name="rate_cards_of_a_unit_do_not_overlap",
                expressions=(
                    ("tenant", RangeOperators.EQUAL),
                    ("unit", RangeOperators.EQUAL),
                    ("currency", RangeOperators.EQUAL),
                    ("dimension", RangeOperators.EQUAL),
                    (
                        TsTzRange("valid_from", "valid_until", RangeBoundary()),
                        RangeOperators.OVERLAPS,
                    ),
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.provider}: {self.unit_price:f} {self.currency}"
