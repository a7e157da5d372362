"""Statements read the tables and nothing else; rows as a page, as CSV and as Parquet."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import duckdb
import msgspec
import pytest
import pytest_asyncio
from starlette.exceptions import HTTPException
from support import loop_facts
from support.pages import Site, site

from ringrift.insight.sql.log_tables import FILE, refresh
from ringrift.web import sql_child
from ringrift.web.children import Children
from ringrift.web.pages.tables import Tables


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


async def child(file: Path, statement: str, seconds: float) -> tuple[int, bytes, str]:
    given = msgspec.json.encode([statement])
    arguments = ("ringrift.web.sql_child", "rows", str(file))
    return await Children("SQL").run(arguments, seconds=seconds, given=given)


@pytest.mark.slow
async def test_what_never_ends_is_ended(file: Path) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    with pytest.raises(HTTPException, match="ended after 2 s"):
        await child(file, endless, 2.0)


@pytest.mark.slow
async def test_what_needs_too_much_memory_fails(file: Path) -> None:
    greedy = "SELECT count(*) FROM (SELECT DISTINCT range || repeat('x', 200) FROM range(60000000))"
    status, _, said = await child(file, greedy, 60.0)
    assert status == 1
    assert "memory" in said.lower()


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
    text = await pages.get(f"/sql?q={quote('SELECT seq, position, type FROM log ORDER BY seq')}")
    assert "2 rows" in text
    assert 'href="/events/1"' in text
    assert "ModelPromoted" in text
    assert "file system operations are disabled" in await pages.get(
        f"/sql?q={quote(HOSTILE[2])}", 400
    )


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
    assert "Games that generations were trained on" in await pages.get("/quality")
    assert "Hours and cost by config" in await pages.get("/cost")
    assert "Elo from kept games of people" in await pages.get("/people")


@pytest.mark.slow
async def test_tables_are_not_read_anew_without_new_events(pages: Site) -> None:
    await pages.get("/cost")
    filled = os.stat(pages.client._transport.app.state.sql_tables.file).st_mtime_ns  # type: ignore[attr-defined]
    await pages.get("/cost")
    assert os.stat(pages.client._transport.app.state.sql_tables.file).st_mtime_ns == filled  # type: ignore[attr-defined]
