"""Tables that fit, and tables for other programs."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import duckdb
import pytest
from rich.console import Console

from ringrift.cli.common import Form, Tabular
from ringrift.cli.events import _position
from ringrift.cli.formats import write_csv, write_parquet
from ringrift.cli.main import COMMANDS, _summary, main
from ringrift.cluster.terminal import fitting
from ringrift.errors import CommandError
from ringrift.insight.describe import table

ROWS = [
    {"name": "a,b", "count": 1, "parts": [1, 2], "share": 0.5, "none": None, "yes": True},
    {"name": 'say "x"\n', "count": 2, "parts": [], "share": 1.0, "none": None, "yes": False},
]


def forms(name: str) -> tuple[str, ...]:
    """The forms in which a command can answer; none if it has no option for them."""
    places = {name: place for group in COMMANDS.values() for name, place in group.items()}
    module, _, function = places[name].partition(":")
    called = getattr(import_module(f"ringrift.cli.{module}"), function)
    for hint in get_type_hints(called).values():
        if isinstance(hint, type) and issubclass(hint, Form):
            return tuple(get_args(get_type_hints(hint)["format"]))
    return ()


TABLES = (
    *("status", "scorecard", "query", "events tail", "lineage", "replay elo", "strength"),
    *("gauntlet", "rating fit", "rating people", "bench", "doctor", "cluster status"),
    *("analyse", "settings", "game replay", "node list"),
)
"""commands that print a table and are not called lists"""


def test_every_command_that_lists_answers_in_each_form() -> None:
    known = {name: place for group in COMMANDS.values() for name, place in group.items()}
    lists = [name for name, place in known.items() if _summary(place).startswith("List")]
    assert {"metrics list", "tiers", "harnesses", "model architectures"} <= {*lists}
    assert {name: forms(name) for name in (*lists, *TABLES)} == dict.fromkeys(
        (*lists, *TABLES), ("table", "json", "csv", "parquet")
    )


@pytest.mark.parametrize(
    ("command", "header"),
    [
        (["tiers"], "tier,participant,harness,simulations"),
        (["harnesses"], "harness,title,evaluators,policy,searches,seats,lockstep,models"),
        (["model", "architectures"], "architecture,square8,square19,hex8,hexagonal"),
        (["metrics", "list"], "name,type,labels,help"),
    ],
)
def test_a_list_without_a_log_is_csv_too(command, header, capfdbinary) -> None:
    assert main([*command, "--format", "csv"]) == 0
    first, *rest = capfdbinary.readouterr().out.decode().splitlines()
    assert first == header
    assert len(rest) > 3


def printed(width: int, *, fold_columns: bool = True, wide: int = 1) -> str:
    out = Console(file=io.StringIO(), width=width)
    found = table(("name", ">count", "reason"), [("x" * 30 * wide, 1234, "some words " * 8)])
    out.print(fitting(out, found, fold_columns=fold_columns))
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_table_is_turned_only_where_it_does_not_fit() -> None:
    assert "row 1" not in printed(80)
    turned = printed(80, fold_columns=False)
    assert turned.splitlines()[:3] == [
        "row 1",
        f"  name    {'x' * 30}".ljust(80),
        "  count   1,234".ljust(80),
    ]
    assert "row 1" not in printed(140, fold_columns=False)
    assert "row 1" in printed(80, wide=3)
    assert all(len(line) <= 40 for line in printed(40, wide=3).splitlines())


def test_csv_has_a_line_for_each_row(tmp_path: Path) -> None:
    write_csv(ROWS, tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == (
        'name,count,parts,share,none,yes\n"a,b",1,"[1,2]",0.5,,true\n'
        '"say ""x""\n",2,[],1.0,,false\n'
    )


def test_parquet_keeps_types(tmp_path: Path) -> None:
    write_parquet(ROWS, tmp_path / "rows.parquet")
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(tmp_path / "rows.parquet")).fetchall()
    assert [(row[0], row[1], row[2], row[3], row[5]) for row in found] == [
        ("a,b", 1, [1, 2], 0.5, True),
        ('say "x"\n', 2, [], 1.0, False),
    ]
    with pytest.raises(CommandError, match="no rows"):
        write_parquet([], tmp_path / "none.parquet")


def test_parquet_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(CommandError, match="--output FILE, or a pipe"):
        write_parquet(ROWS, None)


def test_contradicting_forms_are_refused() -> None:
    assert Tabular(json=True).form == Tabular(format="json").form == "json"
    with pytest.raises(CommandError, match="--json contradicts --format csv"):
        assert Tabular(json=True, format="csv").form
    with pytest.raises(CommandError, match="--output needs --format csv"):
        assert Tabular(output=Path("x")).form


@pytest.mark.parametrize("text", ["35", "EVENTS/35", "GAMES/3"])
def test_an_event_is_named_as_it_is_printed(text: str) -> None:
    assert _position(text) == text


@pytest.mark.parametrize("text", ["", "0", "-1", "DEAD/1", "EVENTS/", "EVENTS/1/2", "x"])
def test_other_names_of_events_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give a position such as EVENTS/35 or GAMES/3"):
        _position(text)
