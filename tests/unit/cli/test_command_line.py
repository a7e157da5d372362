"""The command line: every command leads to a function with a help page, wrong usage gets a remedy,
and a command loads only what it needs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ringrift.cli import contract
from ringrift.cli.main import COMMANDS, FAMILIES, application, main
from ringrift.errors import CommandError
from ringrift.events import EventError
from ringrift.log.errors import StreamError

NAMES = [name for commands in COMMANDS.values() for name in commands]
PLACES = [place for commands in COMMANDS.values() for place in commands.values()]
SLOW_TO_IMPORT = {"numba", "torch", "matplotlib", "safetensors"}


@pytest.mark.parametrize("place", PLACES)
def test_every_command_is_a_documented_function(place: str) -> None:
    module, _, name = place.partition(":")
    command = getattr(import_module(f"ringrift.cli.{module}"), name)
    assert inspect.getdoc(command)
    assert inspect.signature(command, eval_str=True).return_annotation in (int, None)


def test_every_family_holds_commands() -> None:
    assert set(FAMILIES) == {name.split()[0] for name in NAMES if " " in name}


def test_tables_and_help_import_nothing_slow(tmp_path: Path) -> None:
    """They run in one process, in which slow imports fail."""
    here = ("--data", str(tmp_path))
    tables = [
        ((), 0),
        (("--help",), 0),
        *(((*name.split(), "--help"), 0) for name in NAMES),
        (("statsu",), 2),
        (("tiers",), 0),
        (("harnesses",), 0),
        (("model", "architectures"), 0),
        (("model", "list", *here), 1),
        (("status", *here), 1),
        (("doctor", *here), 0),
        (("metrics", "list"), 0),
    ]
    look = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(SLOW_TO_IMPORT)}))  # None: importing it fails
from ringrift.cli.main import main
for words, status in {tables}:
    assert main(words) == status, words
"""
    subprocess.run([sys.executable, "-c", look], stdout=subprocess.DEVNULL, check=True)


def test_help_lists_commands_by_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    titles = [shown.index(title) for title in COMMANDS]
    assert titles == sorted(titles)
    assert "Show what the system is doing" in shown


def test_a_command_page_shows_its_whole_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "lost its quorum" in shown
    assert "RINGRIFT_SERVER" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "there is no command `statsu`; did you mean `status`?\ncommands: up,"),
        (["events", "--jsn"], "there is no option --jsn before a command\ncommands: tail, show"),
        (["status", "--daat"], "Unknown option: --daat. Did you mean --data?"),
        (["status", "now", "please"], "unexpected arguments: now please\nsee `ringrift status"),
        (["why"], "EVENT is missing\nsee `ringrift why --help`"),
        (
            [
                "cluster",
                "edge",
                "--name",
                "a",
                "--nodes",
                "a=h",
                "--output",
                "d",
                "--key",
                "U",
                "--port",
                "65536",
            ],
            "Must be <= 65535",
        ),
        (["pause", "--why"], "--why needs a value\nsee `ringrift pause --help`"),
    ],
)
def test_wrong_usage_names_the_remedy(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("base", [CommandError, EventError, StreamError])
def test_expected_errors_are_printed_in_one_line(
    base: type[Exception], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*, root: Path = Path(".")) -> int:
        raise base("what happened, and what to do")

    monkeypatch.setattr(contract, "check", fail)
    assert main(["contract", "check"]) == 1
    assert capsys.readouterr().err == "ringrift: what happened, and what to do\n"


def test_a_file_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--settings", "no/such/file.json"]) == 1
    assert capsys.readouterr().err == "ringrift: no/such/file.json: No such file or directory\n"


def test_completion_knows_the_commands() -> None:
    script = application(()).generate_completion(shell="bash")
    assert "gauntlet" in script
    assert "--server" in script
