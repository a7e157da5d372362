"""Structured logs on standard error."""

import os
import sys
from typing import Any

import structlog


def configure_logs() -> None:
    """Write logs for people, or JSON lines with `RINGRIFT_LOG=json`. Exits if it is neither."""
    chosen = os.environ.get("RINGRIFT_LOG", "console")
    renderers: list[Any]
    if chosen == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    elif chosen == "console":
        renderers = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    else:
        sys.exit(f"RINGRIFT_LOG={chosen!r}: give console or json")
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, *renderers],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
