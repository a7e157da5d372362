"""The `nats` command line, where it is installed; tests that need it are skipped without."""

from __future__ import annotations

import itertools
import os
import pty
import re
import shlex
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
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_FRAME = re.compile(r"[─╭╮╰╯├┤┬┴┼│]+")
_UNITS = ("B", "KiB", "MiB", "never")
_CONTEXTS = tempfile.gettempdir()


class Answer(subprocess.CompletedProcess[str]):
    """What the tool printed, errors included, and its exit status."""

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


def nats(
    *words: object, options: Sequence[str], contexts: Path | None = None, folder: Path | None = None
) -> Answer:
    """Run the tool in a folder; the contexts of the user are not read."""
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
        cwd=folder,
    )
    return Answer(done.args, done.returncode, done.stdout, done.stderr)


def sessions(page: Path, *contexts: str) -> list[tuple[list[str], list[str]]]:
    """The commands of a page with one of these contexts, each with the lines that it shows."""
    found = []
    for block in _BLOCK.findall(page.read_text()):
        for part in f"\n{block}".split("\n$ ")[1:]:
            command, *shown = part.rstrip().split("\n")
            words = shlex.split(command)
            if words[:2] == ["nats", "--context"] and words[2] in contexts:
                found.append((words[1:], shown))
    return found


def not_printed(shown: Sequence[str], answer: Answer) -> list[str]:
    """The lines of a page that a command did not print, apart from numbers, times and widths."""
    printed = {_shape(line) for line in answer.text.splitlines()}
    return [line for line in shown if not any(_is(line, each) for each in printed)]


def _is(line: str, printed: str) -> bool:
    if line.endswith("..."):
        return printed.startswith(_shape(line.removesuffix("...")))
    return _shape(line) == printed


def _shape(line: str) -> str:
    words = _FRAME.sub(" ", line).split()
    kinds = ("#" if any(map(str.isdigit, word)) or word in _UNITS else word for word in words)
    return " ".join(kind for kind, _ in itertools.groupby(kinds))


def at(url: str) -> list[str]:
    """Options for a server without users."""
    return ["--server", url]


def as_role(place: Place, role: str, inbox: str = "_INBOX") -> list[str]:
    """Options for a role of a secured server."""
    login = ["--creds", str(place.credentials(role))]
    login += ["--inbox-prefix", f"{inbox}.{place.name(role)}"]
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
