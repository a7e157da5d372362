"""The command line: one thin typed function a command; see `ringrift.cli.common`."""

from contextvars import ContextVar

WORDS: ContextVar[tuple[str, ...]] = ContextVar("WORDS", default=())
"""the words of the command line that runs, without `ringrift`"""
