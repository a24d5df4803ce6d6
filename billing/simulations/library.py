"""The scenarios that come with Aforo, by name."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec

from aforo.errors import NotFound

_FOLDER = "builtin"
_SUFFIX = ".json"


@cache
def names() -> tuple[str, ...]:
    """What may be asked for, in order."""
    files = resources.files(__package__).joinpath(_FOLDER).iterdir()
    found = (file.name for file in files if file.name.endswith(_SUFFIX))
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found))


def mapping(name: str) -> dict[str, Any]:
    """The JSON of a scenario; NotFound when there is none of that name."""
    if name not in names():
        reason = f"there is no scenario '{name}': {', '.join(names())}"
        raise NotFound.naming("name", "NOT_FOUND", reason)
    file = resources.files(__package__).joinpath(_FOLDER, name + _SUFFIX)
    found: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    return found
