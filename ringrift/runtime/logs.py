"""The log lines of a process: for people, or JSON; their level may change while it runs."""

import os
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

from ringrift.events.visible import visible

LOG_LEVELS = ("debug", "info", "warning", "error")
LOWEST = LOG_LEVELS[0]
_chosen = {"level": "info"}


def configure_logs() -> None:
    """Write logs for people, or JSON lines with `RINGRIFT_LOG=json`, of the level
    `RINGRIFT_LOG_LEVEL` and above. Exits if a variable has another value."""
    chosen = os.environ.get("RINGRIFT_LOG", "console")
    level = os.environ.get("RINGRIFT_LOG_LEVEL", "info").lower()
    try:
        set_level(level)
    except ValueError as error:
        sys.exit(f"RINGRIFT_LOG_LEVEL={level!r}: {error}")
    renderers: list[Any]
    if chosen == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    elif chosen == "console":
        # the values of local variables would fill a screen for every frame
        plain, colors = structlog.dev.plain_traceback, sys.stderr.isatty()
        renderers = [
            _escaped,
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain),
        ]
    else:
        sys.exit(f"RINGRIFT_LOG={chosen!r}: give console or json")
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[
            _at_level,
            structlog.contextvars.merge_contextvars,  # the cause of what is done now
            structlog.processors.add_log_level,
            stamp,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LOWEST),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _escaped(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """Escape what a terminal would act on."""
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = visible(value)
    return fields


def set_level(level: str) -> None:
    """Write log lines of this level and above from now on. Raises ValueError."""
    if level not in LOG_LEVELS:
        raise ValueError(f"give one of {', '.join(LOG_LEVELS)}")
    _chosen["level"] = level


def log_level() -> str:
    """The level of the log lines that are written."""
    return _chosen["level"]


def _at_level(_logger: object, method: str, fields: EventDict) -> EventDict:
    """Drop a line below the level."""
    if method in LOG_LEVELS and LOG_LEVELS.index(method) < LOG_LEVELS.index(log_level()):
        raise structlog.DropEvent
    return fields
