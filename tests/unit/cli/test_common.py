from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.ratings import table

from ringrift.cli.common import age, moment, numbers, progress, seq_at, words
from ringrift.cli.events import Message, messages
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.events.facts import PipelinePaused, SettingsChanged
from ringrift.events.settings import Settings
from ringrift.insight.describe import important
from ringrift.tools.memory_log import MemoryLog

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("0", 0),
        ("120", 120),
        ("90s", NOW - timedelta(seconds=90)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("2026-11-21T04:00", datetime(2026, 11, 21, 4, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T04:00+02:00", datetime(2026, 11, 21, 4, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_moment_is_a_sequence_a_time_or_an_age(text: str, point: int | datetime) -> None:
    assert moment(text, now=NOW) == point


@pytest.mark.parametrize(
    "text",
    [
        *("", "-5", "10x", "tomorrow", "2026-13-01", "m", "99999999d", "9" * 400 + "s"),
        *("9" * 5000, "0001-01-01T00:00+14:00", "9999-12-31T23:00-14:00"),
    ],
)
def test_other_moments_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a point in the log"):
        moment(text)


def test_words_and_numbers_are_separated_by_commas() -> None:
    assert words("random,heuristic,") == ("random", "heuristic")
    assert numbers("8,16") == (8, 16)
    with pytest.raises(ValueError, match="'8,none': give positive whole numbers"):
        numbers("8,none")


def test_a_length_of_time_has_a_unit() -> None:
    assert age("1.5h") == timedelta(minutes=90)
    with pytest.raises(ValueError, match="'soon' is not a length of time"):
        age("soon")
    with pytest.raises(ValueError, match="is not a length of time"):
        age("9999999999d")


@pytest.mark.parametrize("seq", [3, 20261128, 10**30])
async def test_a_sequence_beyond_the_end_is_refused(seq: int) -> None:
    log = MemoryLog()
    await log.append(
        [
            draft(PipelinePaused(scope="all", why="w"), cause=None, source="s", key=n)
            for n in range(2)
        ]
    )
    assert await seq_at(log, 2) == 2
    said = f"EVENTS/{seq} is not written yet: the log ends with EVENTS/2; a time is written as"
    with pytest.raises(CommandError, match=said):
        await seq_at(log, seq)
    with pytest.raises(CommandError, match=said):
        async for _ in messages(log, "ringrift.>", seq, follow=False):
            pass
    assert await Message.at(log, f"EVENTS/{seq}") is None


def test_quick_work_without_a_terminal_prints_no_progress(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("reading") as report:
        report(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_line_shows_the_important_fields() -> None:
    pause = PipelinePaused(scope="hex8_2p", why="two words, " + "much " * 20)
    assert list(important(pause)) == [("kind", "all"), ("why", f'"{pause.why[:59]}…"')]
    assert dict(important(SettingsChanged(version=2, settings=Settings(), why="test"))) == {
        "version": "2",
        "why": "test",
    }
    rated = table({f"baseline:random:s{number}": -12.3 for number in range(3)}, error=1.0)
    assert dict(important(rated))["ratings"].endswith("baseline:random:s2:-12±2, … 4 in all]")
