"""The parsers: every command leads to a function that is there, and finding it loads nothing that
takes time."""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ringrift.cli.commands import options
from ringrift.cli.main import COMMANDS, main, parser

SLOW_TO_IMPORT = {"numba", "torch", "duckdb", "matplotlib", "safetensors"}


def leaves(item: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [action for action in item._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield item
    for group in groups:
        for inner in group.choices.values():
            yield from leaves(inner)


@pytest.mark.parametrize("leaf", list(leaves(parser())), ids=lambda leaf: leaf.prog)
def test_every_command_has_a_help_and_leads_to_a_function(leaf: argparse.ArgumentParser) -> None:
    assert leaf.format_help().startswith(f"usage: {leaf.prog}")
    call = leaf.get_default("run")
    assert call.func is options._call
    module, name = call.args
    spec = find_spec(module)
    assert spec is not None, module
    tree = ast.parse(Path(str(spec.origin)).read_text())
    assert name in {
        item.name for item in tree.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_each_command_is_named_once() -> None:
    (group,) = (
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    assert len(COMMANDS) == len(set(COMMANDS))
    assert {"up", "status", "pause", "resume", "model", "cluster", "update"} <= set(group.choices)


def test_the_command_line_starts_without_what_is_slow_to_import() -> None:
    look = "import sys, ringrift.cli.main as cli; cli.parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert not SLOW_TO_IMPORT & set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["up", "--for", "soon"],
            "'soon' is no time; write a number with s, m, h or d, such as 30m",
        ),
        (
            ["strength", "--config", "hex8_2p", "--budgets", "8,none"],
            "'8,none': give whole numbers above 0 with commas",
        ),
    ],
)
def test_a_word_of_no_use_is_refused_with_its_remedy(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err
