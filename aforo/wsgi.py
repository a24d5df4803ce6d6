"""The web process: one WSGI application for granian."""

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")


def with_chunked_bodies(serve: Application) -> Application:
    """Give chunked bodies the length that they lack: Django takes one without for empty.

    A body over the limit is read to just beyond it, so that Django refuses it like any other.
    """

    def served(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_TRANSFER_ENCODING") and not environ.get("CONTENT_LENGTH"):
            body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = BytesIO(body)
        return serve(environ, start_response)

    return served


def with_early_answers(serve: Application) -> Application:
    """Let routes that need nothing of Django answer before it."""
    for name in settings.BEFORE_DJANGO:
        serve = import_string(name)(serve)
    return serve


application = with_chunked_bodies(with_early_answers(get_wsgi_application()))
