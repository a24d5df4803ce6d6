"""The claims that a proof is made of."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from aforo.money import plain

ARCHIVE = "archive"
"""The claim of a line whose events were archived: it is neither true nor broken before they are
brought back."""


@dataclass(frozen=True, slots=True)
class Step:
    """One claim about a line, or about the whole invoice when `line` is None; does it hold?

    `found` is what was found: figures when it holds, where it breaks when it does not.
    """

    claim: str
    holds: bool
    found: str
    line: int | None = None

    @classmethod
    def equal(
        cls, claim: str, found: Decimal, expected: Decimal, *, of: str, line: int | None = None
    ) -> Self:
        """`found` was computed anew, `expected` is what `of` says."""
        if found == expected:
            return cls(claim, holds=True, found=plain(found), line=line)
        said = f"{plain(found)}, but {of} says {plain(expected)}"
        return cls(claim, holds=False, found=said, line=line)
