"""What the buttons of billing share: a stage of the pipeline may refuse what they ask for."""

from aforo.errors import AforoError
from aforo.tenancy.admin_acts import ActsOnRow
from aforo.tenancy.admin_base import ReadOnlyAdmin
from billing.pipeline import StageFailed


class ActsOnReadRow(ActsOnRow, ReadOnlyAdmin):
    """A page that is read, with buttons."""

    refusals = (AforoError, StageFailed)
