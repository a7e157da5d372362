from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ringrift.cli.source import moment, progress
from ringrift.errors import CommandError
from ringrift.events.facts import PipelinePaused, Rating, RatingsUpdated, SettingsChanged
from ringrift.events.settings import Settings
from ringrift.insight.describe import important

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
def test_points_in_the_log(text: str, point: int | datetime) -> None:
    assert moment(text, now=NOW) == point


@pytest.mark.parametrize("text", ["", "-5", "10x", "tomorrow", "2026-13-01", "m"])
def test_what_is_no_point(text: str) -> None:
    with pytest.raises(CommandError, match="no point in the log"):
        moment(text)


def test_progress_off_a_terminal_says_nothing_when_it_is_quick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("reading") as report:
        report(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_line_shows_what_matters() -> None:
    pause = PipelinePaused(scope="hex8_2p", why="two words, " + "much " * 20)
    assert list(important(pause)) == [("kind", "all"), ("why", f'"{pause.why[:59]}…"')]
    assert dict(important(SettingsChanged(version=2, settings=Settings(), why="test"))) == {
        "version": "2",
        "why": "test",
    }
    row = Rating(participant="baseline:random:s0", elo=-12.3, se=1.0, games=4)
    table = RatingsUpdated(config="hex8_2p", ratings=(row,) * 4, games=8)
    assert dict(important(table))["ratings"].endswith("baseline:random:s0:-12, … 4 in all]")
