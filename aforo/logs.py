"""How logs are written: one JSON object, or one readable line, per fact."""

from typing import Any

import structlog

_shared: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def logging_of(*, form: str, level: str) -> dict[str, Any]:
    """Django's `LOGGING`; `form` is "json" or "plain"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processor": structlog.processors.JSONRenderer(),
                "foreign_pre_chain": _shared,
            },
            "plain": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processor": structlog.dev.ConsoleRenderer(colors=False),
                "foreign_pre_chain": _shared,
            },
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {  # by default two lines per request, and three per task
            "django_structlog.middlewares.request": {"level": "WARNING"},
            "django_structlog.celery.receivers": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},  # it writes whole URLs, which may hold a secret
        },
    }
