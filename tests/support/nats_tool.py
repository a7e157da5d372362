"""The `nats` command line, where it is installed; tests that need it are skipped without."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.secured import Place

NATS = shutil.which("nats")
needs_nats = pytest.mark.skipif(NATS is None, reason="nats")
"""skips a test where the tool is not installed"""
SECONDS_MAX = 30.0
_CONTEXTS = tempfile.gettempdir()


class Answer(subprocess.CompletedProcess[str]):
    """What the tool printed, errors included, and its exit status."""

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


def nats(*words: object, options: Sequence[str], contexts: Path | None = None) -> Answer:
    """Run the tool; the contexts of the user are not read."""
    assert NATS is not None
    environment = os.environ | {"XDG_CONFIG_HOME": str(contexts or _CONTEXTS)}
    context = [] if contexts else ["--no-context"]
    done = subprocess.run(
        [NATS, *context, *options, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env=environment,
    )
    return Answer(done.args, done.returncode, done.stdout, done.stderr)


def at(url: str) -> list[str]:
    """Options for a server without users."""
    return ["--server", url]


def as_role(place: Place, role: str, inbox: str = "_INBOX") -> list[str]:
    """Options for a role of a secured server."""
    user, password = place.login(role)
    login = ["--user", user, "--password", password, "--inbox-prefix", f"{inbox}.{user}"]
    return [*at(place.url), *login, "--tlsca", str(place.authority)]


def on_terminal(*words: str, options: Sequence[str], lines: int) -> str:
    """Run the tool on a terminal, as its pager wants, and return what it wrote until it ended or
    so many lines came."""
    assert NATS is not None
    main, side = pty.openpty()
    process = subprocess.Popen(
        [NATS, "--no-context", *options, *words], stdin=side, stdout=side, stderr=side
    )
    os.close(side)
    written = b""
    try:
        while written.count(b"\n") < lines and (part := os.read(main, 65536)):
            written += part
    except OSError:  # the end of a terminal
        pass
    finally:
        process.kill()
        process.wait()
        os.close(main)
    return written.decode(errors="replace")
