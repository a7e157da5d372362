"""Terminals and standard streams that are not as usual, and texts that look like markup."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from ringrift.cli.common import show
from ringrift.cli.main import main
from ringrift.cluster.terminal import complain, console, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("text", ["[/x]", "[bold]b[/bold]", ":smile:", "[link=x]"])
def test_brackets_and_colons_are_printed_as_they_are(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table(text)
    table.add_row(text)
    show(None, False, text, table)
    assert capsys.readouterr().out.count(text) == 3


@pytest.mark.parametrize(("term", "moves"), [("xterm", True), ("dumb", False), ("unknown", False)])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    term: str, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert console().is_terminal == moves
    assert not console(plain=True).is_terminal
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress("reading [/x]") as report:
        report(1, 2)


def test_characters_that_the_terminal_does_not_know_are_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    assert main(["rating", "sprt", "--results", "10,20,30"]) == 0
    ascii_only.seek(0)
    assert r"\xb1" in ascii_only.read()


@pytest.mark.parametrize("words", [["pause", "--why", "caf\udce9"], ["status", "--data", "\udce9"]])
def test_arguments_that_are_not_utf8_are_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("ringrift: not valid UTF-8: ")


def test_a_full_device_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["metrics", "list"]) == 1
    remedy = "free some and run it again"
    assert capsys.readouterr().err == f"ringrift: system: No space left on device; {remedy}\n"


def test_a_command_works_without_standard_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    statuses = [main(["metrics", "list"]), main(["statsu"])]
    nowhere = (sys.stdin, sys.stdout, sys.stderr)
    monkeypatch.undo()
    for stream in nowhere:
        stream.close()
    assert statuses == [0, 2]


def test_progress_is_never_negative_nor_beyond_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ringrift.cluster.terminal.PLAIN_PROGRESS_SECONDS", 0.0)
    with progress("reading") as report:
        report(0, 10)
        report(-3, -1)
        report(12, 10)
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "reading: 0 of 10",
        "reading: 0 of 0",
        "reading: 12 of 12",
    ]


@pytest.mark.parametrize("odd", ["\x1b[2J", "\x9b31m", "\u202e", "\u2066", "\x07", "\r", "\u200b"])
def test_what_a_terminal_acts_on_is_shown_as_an_escape(
    odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table("name")
    table.add_row(odd)
    show(None, False, odd, Text(odd), table)
    show({"name": odd}, True)
    complain(odd)
    out, err = capsys.readouterr()
    assert all(each.isprintable() or each == "\n" for each in out + err)
    assert json.loads(out.splitlines()[-1]) == {"name": odd}
