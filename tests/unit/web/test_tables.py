"""Statements read the tables and nothing else; rows as a page, as CSV and as Parquet."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import duckdb
import msgspec
import pytest
import pytest_asyncio
from starlette.exceptions import HTTPException
from support import loop_facts
from support.pages import Site, answered, site

from ringrift.insight.sql import log_tables
from ringrift.insight.sql.log_tables import FILE, refresh
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.web import sql_child
from ringrift.web.children import Server, _end_of, reason
from ringrift.web.pages.tables import Tables
from ringrift.web.sql_child import Reply


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of a log with a promotion."""
    async with site() as pages:
        await pages.record(loop_facts.promoted(), loop_facts.scored("random", 9, 1))
        path = tmp_path_factory.mktemp("tables") / FILE
        await refresh(pages.log, path)
    return path


HOSTILE = [
    "COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "ATTACH '/tmp/other.duckdb'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "FROM '/etc/passwd'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE '/tmp/all'",
    "DROP TABLE raw.log",
    "DELETE FROM raw.log",
    "INSERT INTO raw.known VALUES ('x', 1, 'y')",
    "CREATE TABLE mine AS SELECT 1",
    "CALL force_checkpoint()",
    "SELECT 1; SELECT 2",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "SELECT * FROM query('COPY (SELECT 1) TO ''/tmp/stolen.csv''')",
    "",
    "nonsense",
]


@pytest.mark.parametrize("statement", HOSTILE)
def test_a_hostile_statement_is_refused(file: Path, statement: str) -> None:
    with sql_child.confined(file) as connection, pytest.raises((duckdb.Error, ValueError)):
        sql_child.answer(connection, statement)
    assert not Path("/tmp/stolen.csv").exists()


def test_a_written_file_can_only_be_the_one_asked_for(file: Path, tmp_path: Path) -> None:
    wanted, other = tmp_path / "rows.csv", tmp_path / "other.csv"
    with sql_child.confined(file, wanted) as connection:
        sql_child.write(connection, "SELECT type FROM log ORDER BY seq -- all", "csv", wanted)
        assert wanted.read_text().split() == ["type", "ModelPromoted", "EvaluationScored"]
        for text in (f"COPY (SELECT 1) TO '{other}'", "SELECT * FROM read_csv('/etc/passwd')"):
            with pytest.raises((duckdb.Error, ValueError)):
                sql_child.write(connection, text, "csv", wanted)
        escape = f"SELECT 1) TO '{other}' (FORMAT csv); --"
        with pytest.raises((duckdb.Error, ValueError)):
            sql_child.write(connection, escape, "csv", wanted)
    assert not other.exists()


def test_rows_are_bounded(file: Path) -> None:
    with sql_child.confined(file) as connection:
        found = sql_child.answer(connection, "FROM range(100000)")
    assert (found.columns, len(found.rows), found.more) == (["range"], 500, True)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    found = Server("SQL")
    yield found
    await found.end()


async def child(server: Server, file: Path, statement: str, seconds: float = 30.0) -> Reply | None:
    given = msgspec.json.encode([statement])
    answer = await server.ask(("ringrift.web.sql_child", "serve", str(file)), given, seconds)
    return msgspec.json.decode(answer, type=Reply) if answer is not None else None


@pytest.mark.slow
async def test_one_child_answers_one_statement_after_another(file: Path, server: Server) -> None:
    found = await child(server, file, "SELECT count(*) FROM log")
    assert found is not None
    assert found.answers[0].rows == [[2]]
    (pid,) = {server._child.pid}  # type: ignore[union-attr]
    for statement in ("nonsense", *HOSTILE[:3]):
        refused = await child(server, file, statement)
        assert refused is not None
        assert refused.problem
    assert (await child(server, file, "SELECT 7")).answers[0].rows == [[7]]  # type: ignore[union-attr]
    assert server._child is not None
    assert server._child.pid == pid
    huge = "SELECT repeat('x', 160000) FROM range(500)"
    with pytest.raises(HTTPException, match="more than 64 MiB"):
        await child(server, file, huge)
    assert (await child(server, file, "SELECT 8")).answers[0].rows == [[8]]  # type: ignore[union-attr]


@pytest.mark.slow
async def test_what_never_ends_is_ended(file: Path, server: Server) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    with pytest.raises(HTTPException, match="ended after 2 s"):
        await child(server, file, endless, 2.0)
    assert await child(server, file, "SELECT 1") is not None


@pytest.mark.slow
async def test_what_needs_too_much_memory_fails(file: Path, server: Server) -> None:
    greedy = "SELECT count(*) FROM (SELECT DISTINCT range || repeat('x', 200) FROM range(60000000))"
    reply = await child(server, file, greedy, 60.0)
    assert reply is None or "memory" in reply.problem.lower()
    assert await child(server, file, "SELECT 1") is not None


@pytest_asyncio.fixture
async def pages(file: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A site with tables that were filled before: no child process reaches a log in memory."""

    async def read_log(self: Tables) -> None:
        shutil.copy(file, self.file)

    monkeypatch.setattr(Tables, "read_log", read_log)
    async with site() as found:
        await found.record(loop_facts.promoted(), loop_facts.scored("random", 9, 1))
        yield found


@pytest.mark.slow
async def test_a_statement_is_answered_with_links(pages: Site) -> None:
    path = f"/sql?q={quote('SELECT seq, position, type FROM log ORDER BY seq')}"
    assert "are being computed" in await pages.get(path)
    text = await answered(pages, path)
    assert "2 rows" in text
    assert ">EVENTS/2</a>" in text
    assert 'href="/events/1"' in text
    assert "ModelPromoted" in text
    assert "<summary>2 parts</summary>" in await answered(pages, "/sql?q=SELECT+{a:1,b:2}")
    refused = await answered(pages, f"/sql?q={quote(HOSTILE[2])}")
    assert "file system operations are disabled" in refused


@pytest.mark.real_time
async def test_the_page_says_in_one_line_why_tables_cannot_be_filled() -> None:
    async with site() as pages:
        pages.log.servers = ["http://nowhere"]
        for path in ("/sql?q=FROM+log", "/cost"):
            text = unescape(await answered(pages, path))
            assert "be filled: 'http://nowhere' is not a server address; write nats://" in text
            assert "Traceback" not in text


async def test_the_next_start_begins_with_the_tables_that_were_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, added = tmp_path / "kept.duckdb", list[int]()

    async def counted(log: Log, path: Path) -> int:
        added.append(await refresh(log, path))
        return added[-1]

    async with site() as pages:
        monkeypatch.setattr(JetStreamLog, "open", lambda *_, **__: _same(pages.log))
        monkeypatch.setattr(pages.log, "close", lambda: _same(pages.log))
        monkeypatch.setattr(log_tables, "refresh", counted)
        monkeypatch.setattr(sql_child, "KEPT_EVENTS_MIN", 2)
        monkeypatch.setenv("RINGRIFT_SERVER", "nats://here")
        await pages.record(loop_facts.promoted(), loop_facts.scored("random", 9, 1))
        for start in range(3):
            if start == 2:
                kept.write_bytes(b"damaged" * 5000)
            await pages.record(loop_facts.scored("random", 9, start))
            (tmp_path / str(start)).mkdir()
            await sql_child.fill(tmp_path / str(start) / FILE, kept)
    assert added == [3, 1, 5]


async def _same(log: Log) -> Log:
    return log


async def test_a_child_that_cannot_be_started_is_explained(
    pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    for path in ("/sql?q=FROM+log", "/cost", "/whatif?decider=promotion&until=1"):
        text = unescape(await answered(pages, path))
        assert "no process can be started: [Errno 11] Resource temporarily" in text
        assert "look at the limits of memory and processes" in text


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "Traceback (most recent call last):\n  ^^^\nringrift.log.errors.Unreachable: down\n",
            "down",
        ),
        ("  ^^^\nOSError: [Errno 28] No space left", "OSError: [Errno 28] No space left"),
        ("a warning\nringrift: there is no decider x", "there is no decider x"),
        ("", "it failed"),
    ],
)
def test_the_reason_of_a_failed_child_is_one_line(said: str, why: str) -> None:
    assert reason(said) == why


@pytest.mark.slow
async def test_rows_come_as_csv_and_parquet(pages: Site, tmp_path: Path) -> None:
    query = quote("SELECT seq, type FROM log ORDER BY seq")
    answer = await pages.client.get(f"/sql/rows.csv?q={query}")
    assert answer.text.split() == ["seq,type", "1,ModelPromoted", "2,EvaluationScored"]
    assert "attachment" in answer.headers["content-disposition"]
    answer = await pages.client.get(f"/sql/rows.parquet?q={query}")
    path = tmp_path / "rows.parquet"
    path.write_bytes(answer.content)
    assert duckdb.sql(f"FROM '{path}'").fetchall() == [
        (1, "ModelPromoted"),
        (2, "EvaluationScored"),
    ]
    assert (await pages.client.get("/sql/rows.exe?q=FROM+log")).status_code == 404


@pytest.mark.slow
async def test_quality_and_cost_are_ready(pages: Site) -> None:
    assert "Games that generations were trained on" in await answered(pages, "/quality")
    assert "Hours and cost by config" in await answered(pages, "/cost")
    assert "Elo from kept games of people" in await answered(pages, "/people")


@pytest.mark.slow
async def test_tables_are_not_read_again_without_new_events(pages: Site) -> None:
    await answered(pages, "/cost")
    filled = os.stat(pages.client._transport.app.state.sql_tables.file).st_mtime_ns  # type: ignore[attr-defined]
    await answered(pages, "/cost")
    assert os.stat(pages.client._transport.app.state.sql_tables.file).st_mtime_ns == filled  # type: ignore[attr-defined]


async def test_the_end_of_all_that_a_child_complains_of_is_kept() -> None:
    """The reason is its last line; a child waits while its full pipe is not read."""
    stream = asyncio.StreamReader()
    reading = asyncio.create_task(_end_of(stream))
    for part in (b"x" * 200_000, b"first\n", b"last\n"):
        stream.feed_data(part)
        await asyncio.sleep(0)
    stream.feed_eof()
    assert reason((await reading).decode()) == "last"
