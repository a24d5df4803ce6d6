"""A stage that cannot do its work, as a problem document that names the field to mend."""

from collections.abc import Iterator
from contextlib import contextmanager

from aforo.errors import FieldError, Refused
from billing.pipeline import StageFailed


@contextmanager
def stages_may_refuse() -> Iterator[None]:
    """Raise Refused (422 STAGE_FAILED) where a stage fails; `errors` names what it failed on."""
    try:
        yield
    except StageFailed as error:
        field = getattr(error.cause, "field", "") or error.stage
        found = FieldError(field, "STAGE_FAILED", str(error.cause))
        raise Refused(str(error), code="STAGE_FAILED", errors=(found,)) from error
