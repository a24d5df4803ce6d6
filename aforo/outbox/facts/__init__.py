"""Every kind of fact that is ever told: one JSON Schema file each, with an example of its payload.

A new kind is a new file here, named for it. Members of the file beside those of JSON Schema:
`x-not-yet` says with what a kind will come that nothing tells yet.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """One kind: when it is told, and the shape of what is said."""

    kind: str
    when: str
    schema: Mapping[str, Any]
    not_yet: str = ""

    @property
    def example(self) -> Mapping[str, Any]:
        """A payload as it is sent."""
        example: Mapping[str, Any] = self.schema["examples"][0]
        return example


@cache
def facts() -> Mapping[str, Fact]:
    """All kinds by name, in order of their names."""
    files = sorted(Path(__file__).parent.glob("*.json"))
    return {path.stem: _read(path) for path in files}


def _read(path: Path) -> Fact:
    schema = json.loads(path.read_text(encoding="utf-8"))
    not_yet = schema.get("x-not-yet", "")
    return Fact(kind=path.stem, when=schema["description"], schema=schema, not_yet=not_yet)
