"""What alert rules cost while a page is carried, and who has had their share of it."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

PLACES_OF_A_PAGE = 1_000_000  # looked at in one transaction: a second
PLACES_OF_A_TENANT = 250_000  # of these; the rest of its messages are for the next page


@dataclass(slots=True)
class Shares:
    """Places looked at, by tenant; who is over keeps all that follows, in its order."""

    over: set[UUID] = field(default_factory=set)
    _spent: Counter[UUID] = field(default_factory=Counter)

    def has_room(self, tenant_id: UUID, *, is_free: bool) -> bool:
        """Whether the tenant's next message may be looked at; what costs nothing nearly always."""
        if tenant_id in self.over:
            return False
        is_over = self._spent[tenant_id] > PLACES_OF_A_TENANT
        if is_over or (not is_free and self._spent.total() > PLACES_OF_A_PAGE):
            self.over.add(tenant_id)
            return False
        return True

    def spend(self, tenant_id: UUID, places: int) -> None:
        """Count what one message of the tenant has cost."""
        self._spent[tenant_id] += places
