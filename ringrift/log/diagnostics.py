"""The logger for what happens to connections and followers."""

import sys
from typing import Any


def logger() -> Any:
    """Return the logger; it writes to standard error unless structlog has been configured.

    structlog is imported on first use: it takes as long as the rest of a command's imports, and
    most commands log nothing."""
    import structlog

    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    return structlog.get_logger("ringrift.log")
