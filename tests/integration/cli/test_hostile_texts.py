"""Whatever is written in facts, a terminal shows it as text."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import duckdb
import msgspec
import pytest
from support import examples

from ringrift.events import REGISTRY, Fact, facts, type_of
from ringrift.log.jetstream import JetStreamLog

HOSTILE = (
    "[bold]\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\r\nringrift: all is well\x7f " + "x" * 100
)
COLORS = re.compile(r"\x1b\[[0-9;]*m")
PRINTING = [
    ["status"],
    ["events", "tail", "--no-follow", "--since", "1"],
    ["events", "tail", "--no-follow", "--since", "1", "--json"],
    ["events", "tail", "--no-follow", "--subject", "ringrift.dead.>"],
    ["dlq", "list"],
    ["model", "list"],
    ["breakers", "list"],
    ["query", "FROM log ORDER BY seq"],
    ["query", "SELECT why, kind FROM pipeline_paused"],
    ["query", "SELECT why, kind FROM pipeline_paused", "--json"],
    ["settings"],
    ["at", "40"],
    ["diff", "1", "40"],
    ["verify"],
]


def hostile(value: Any) -> Any:
    """The value with every free text replaced."""
    match value:
        case str() if "\N{SNOWMAN}" in value:
            return HOSTILE
        case dict():
            return {key: hostile(item) for key, item in value.items()}
        case list() | tuple():
            return [hostile(item) for item in value]
    return value


SILENT = (facts.LeaseAcquired, facts.StreamTrimmed)
"""facts after which nothing more may be written by the test, or read without an archive"""


def hostile_facts() -> list[Fact]:
    """A fact of nearly every type of `EVENTS`, with hostile texts."""
    long = facts.PipelinePaused(scope="hex8_2p", why=HOSTILE + "x" * 15_000)
    every = [
        msgspec.convert(
            hostile(examples.sample(msgspec.inspect.type_info(kind.fact_type))), kind.fact_type
        )
        for kind in REGISTRY.values()
        if kind.stream == "EVENTS" and kind.fact_type not in SILENT
    ]
    return [*every, long]


@pytest.fixture(scope="module")
def seqs(system: Any) -> list[int]:
    from ringrift.events import draft

    async def work() -> list[int]:
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            return await log.append_each(
                [
                    draft(fact, cause=None, source="test", key=f"hostile-{number}")
                    for number, fact in enumerate(hostile_facts())
                ]
            )
        finally:
            await log.close()

    found: list[int] = system.call(work())
    return found


def assert_harmless(text: str) -> None:
    odd = {each for each in COLORS.sub("", text) if not (each.isprintable() or each == "\n")}
    assert not odd
    assert "\nringrift: all is well" not in text


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_gets_no_control_characters(
    words: list[str], terminal: bool, run: Any, seqs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    out = run(*words, status=1 if words == ["verify"] else 0)
    # progress bars move the cursor
    assert_harmless(out if terminal else out + run.err)


def test_events_with_hostile_texts_are_shown_whole(run: Any, seqs: list[int]) -> None:
    for fact, seq in zip(hostile_facts(), seqs, strict=True):
        out = run("events", "show", f"EVENTS/{seq}")
        assert_harmless(out)
        assert type_of(fact).name in out


def test_an_error_that_quotes_a_fact_is_harmless(run: Any, seqs: list[int]) -> None:
    run("resume", "--kind", "training", status=1)
    assert_harmless(run.err)


def test_formats_for_programs_keep_the_text(run: Any, seqs: list[int], tmp_path: Any) -> None:
    statement = "SELECT why, kind FROM pipeline_paused"
    rows = list(csv.DictReader(io.StringIO(run("query", statement, "--format", "csv"), newline="")))
    assert HOSTILE in [row["why"] for row in rows]
    path = tmp_path / "pauses.parquet"
    run("query", statement, "--format", "parquet", "--output", str(path))
    with duckdb.connect() as connection:
        stored = connection.read_parquet(str(path)).fetchall()
    assert HOSTILE in [why for why, _ in stored]
    assert HOSTILE in [
        row["data"]["why"]
        for row in map(
            msgspec.json.decode,
            run(
                "events", "tail", "--no-follow", "--subject", "ringrift.pipeline.*.paused", "--json"
            ).splitlines(),
        )
        if "data" in row
    ]
