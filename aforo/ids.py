"""Ids that no two servers ever draw alike, and that sort by the time they were made."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def new_id() -> UUID:
    """A UUID version 7 (RFC 9562)."""
    return uuid7()


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The client's own id of a request if it is well-formed, else a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _WELL_FORMED.fullmatch(given) else str(new_id())
