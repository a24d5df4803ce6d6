"""How a file is read: which column is what, what stands in for none, and whether it counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metering.models import Upload
from metering.uploads.mapping import ColumnMapping


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read. `mapping` names a column per field of an event."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    default_metric: str = ""
    default_customer: str = ""
    dry_run: bool = False
    backfill: bool = False

    def for_good(self) -> "Reading":
        """The same, with rows that count."""
        return replace(self, dry_run=False)

    def column_mapping(self, *, file_digest: str = "") -> ColumnMapping:
        return ColumnMapping(
            self.mapping,
            default_metric=self.default_metric,
            default_customer=self.default_customer,
            file_digest=file_digest,
        )


def reading_of(upload: Upload) -> Reading:
    """How this file is read."""
    return Reading(
        upload.mapping,
        upload.default_metric,
        upload.default_customer,
        upload.dry_run,
        upload.backfill,
    )
