"""Counting a billing period once more, from what is stored, and comparing it with its totals."""

from metering.recount.comparison import Compared, Difference, one_moment, recount
from metering.recount.scope import Recounted, totals_of_period

__all__ = ["Compared", "Difference", "Recounted", "one_moment", "recount", "totals_of_period"]
