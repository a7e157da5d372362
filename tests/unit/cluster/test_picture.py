"""The screen: what needs a person first, on every size of terminal."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console
from support import loop_facts
from support.turning_loop import game

from ringrift.cluster.picture import Page, Place, between, picture
from ringrift.cluster.watching import Watching, keys_in, plain_lines
from ringrift.events import EventMeta, Fact, Recorded, Settings, facts as f, type_of
from ringrift.events.codec import draft, encode
from ringrift.events.participants import seat
from ringrift.events.tickets import tickets_of
from ringrift.insight.absences import START_SECONDS
from ringrift.insight.live import SILENT_SECONDS, Live
from ringrift.insight.needs import Need, needs
from ringrift.log.entry import Entry
from ringrift.log.presence import Heartbeat
from ringrift.runtime.cluster_view import cluster_view
from ringrift.runtime.processes import EXPECTED, LEASED, PROCESSES
from ringrift.tools.memory_log import MemoryLog

START = datetime(2026, 1, 1, tzinfo=UTC)
NEW, OLD = "ab" * 32, "cd" * 32
PLAN = f.SelfplayPlanned(
    config="hex8_2p",
    generation=0,
    games=96,
    games_per_ticket=48,
    simulations=8,
    model=None,
    seed=1,
    settings_version=1,
)
FAILED = f.TrainingFailed(
    config="hex8_2p", ticket="t", node="n1", generation=1, reason="CUDA out of memory"
)
TRIAL = f.EvaluationRequested(
    config="hex8_2p",
    generation=2,
    candidate=seat("gumbel", model=NEW, simulations=32),
    opponent=seat("gumbel", model=OLD, simulations=32),
    purpose="promotion",
    round=0,
    starts=32,
    seed=1,
    settings_version=1,
)


class Seen(Live):
    """A view of facts that were not read from a log, at a time that stands still."""

    def __init__(self, *events: Fact, configs: tuple[str, ...] = ("hex8_2p",)) -> None:
        self.now = 0.0
        super().__init__(MemoryLog(), clock=lambda: self.now, wall=lambda: self.now)
        self.ready, self.beats, self.seq, self._games = True, [], 0, 0
        self.hears(f.SettingsChanged(version=1, settings=Settings(configs=configs), why="t"))
        self.hears(*events)

    def hears(self, *events: Fact) -> None:
        for event in events:
            self.seq += 1
            subject = type_of(event).subject(event)
            meta = EventMeta("EVENTS", self.seq, subject, "id", "test", START, None)
            self.take(Recorded(event, meta))

    def plays(self, ticket: str, games: int, origin: Any = "selfplay") -> None:
        """Count games of a ticket, won by seats 1 and 2 in turn: in a match by the candidate."""
        seats = seat("random"), seat("random")
        for number in range(games):
            self._games += 1
            played = game(f"{ticket}-{number}", seats, ticket=ticket, origin=origin)
            if number % 2:
                played = replace(played, ranks=(2, 1), winner=2)
            body = encode(draft(played, cause=None, source="test"))
            stamp = int(self._games * 1e9)
            self.count(Entry(self._games, type_of(played).subject(played), stamp, body))


def shown(
    live: Live, width: int = 80, height: int = 24, place: Place | None = None, **options: Any
) -> list[str]:
    lines = picture(live, place or Place(), width, height, title="0:01  test", **options)
    assert len(lines) == height
    assert all(line.cell_len <= width for line in lines)
    return [line.plain for line in lines]


def line_with(text: str, lines: list[str]) -> str:
    return next(line for line in lines if text in line)


def test_a_pause_is_visible_on_the_smallest_usual_terminal() -> None:
    lines = shown(Seen(PLAN, f.PipelinePaused(scope="all", why="repairs")))
    assert lines[1] == "● all configs: all work paused: repairs"
    assert lines[2] == "  → `ringrift resume` ends it"


def test_what_failed_stands_before_what_is_paused() -> None:
    request = loop_facts.requested(1) if hasattr(loop_facts, "requested") else None
    live = Seen(
        *(fact for fact in (request,) if fact), f.PipelinePaused(scope="all", why="w"), FAILED
    )
    lines = shown(live)
    assert lines[1] == "● hex8_2p: training failed: generation 1: CUDA out of memory"
    assert lines[2].startswith("  → read the trainer's log")
    assert "paused" in lines[3]
    assert "failed training of generation 1" in line_with("hex8_2p: stopped", lines)
    assert "warning" not in lines[0]


def test_games_are_counted_as_they_end() -> None:
    live = Seen(PLAN)
    ticket = tickets_of(PLAN, "EVENTS/2")[0].ticket
    live.plays(ticket, 30)
    live.now = 30.0
    assert "30 of 96 games, 3,724 an hour, 1:03 left" in line_with("of 96 games", shown(live))
    live.hears(replace(loop_facts.played(0, 48), ticket=ticket))
    live.plays("another", 1)
    assert "48 of 96 games" in line_with("of 96 games", shown(live))
    assert live.games("hex8_2p") == 48


def test_games_an_hour_of_a_node_include_matches() -> None:
    live = Seen(PLAN, TRIAL)
    live.plays("a", 30)
    live.plays("evaluation-events-3", 31, "evaluation")
    live.now = 61.0
    assert live.games_an_hour_on("n1") == pytest.approx(3660)
    assert live.games_an_hour("hex8_2p") == pytest.approx(1800)
    assert live.games_an_hour_on("n2") is None


async def test_the_headline_says_starting_until_absent_processes_are_missed() -> None:
    live = Seen(PLAN)
    live.cluster = await cluster_view(live.log)
    assert "starting" in shown(live)[0]
    for second in range(0, 60, 10):
        live.missing.look((), float(second))
    assert "warning" in shown(live)[0]
    running = dict.fromkeys(EXPECTED, 1)  # and not what the settings do not ask for
    live.missing.look(EXPECTED, 60.0)
    live.cluster = replace(live.cluster, running=running)
    assert "starting" not in shown(live)[0]


def test_a_process_is_missing_only_after_a_while() -> None:
    live = Seen(PLAN)
    beating = {name for name in PROCESSES if name != "trainer"}
    for second in range(0, 60, 10):
        live.missing.look(beating, float(second))
        assert ("processes: start trainer" in "".join(shown(live))) == (second > START_SECONDS)
    pages = "".join(shown(live, place=Place("processes")))
    assert "trainer     missing: start it" in pages
    assert "rater       no heartbeat now" in pages
    for second in range(60, 120, 10):
        live.missing.look((), float(second))
    assert needs(live.loop, live) == [Need("no process runs", "", "`ringrift up` continues", True)]
    assert needs(live.loop, None) == []


def test_a_role_is_vacant_only_after_a_while() -> None:
    live = Seen(PLAN)
    for second in range(0, 60, 10):
        live.vacant.look(set(LEASED) - {"planner"}, float(second))
    assert [need.what for need in needs(live.loop, live)] == ["coordinator"]


def test_a_trial_shows_its_score_and_how_far_the_test_is() -> None:
    live = Seen(TRIAL)
    assert "trial: 0 of 64 starts, 0 games, no game yet" in line_with("starts", shown(live))
    live.plays("evaluation-events-2", 8, "evaluation")
    line = line_with("starts", shown(live))
    assert "trial: 4 of 64 starts, score 100.0%, LLR +" in line
    assert line.endswith("░ 2.94")


def test_a_test_is_drawn_between_its_thresholds() -> None:
    assert between(-3.0, -2.94, 2.94).startswith("-2.94 █")
    assert between(3.0, -2.94, 2.94).endswith("█ 2.94")


def test_a_silent_server_is_named_with_the_time() -> None:
    live = Seen(PLAN)
    live.now = 65.0
    lines = shown(live)
    assert lines[0].endswith("no answer")
    assert re.fullmatch(
        r"● no answer from the server since .*:\d\d \(1:05\); trying again", lines[1]
    )
    assert next(plain_lines(live)).startswith("no answer from the server since")
    live.now = SILENT_SECONDS
    assert live.silent_seconds == 0.0


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10), (20, 5), (200, 60)])
@pytest.mark.parametrize("page", ["loop", "needs", "processes"])
def test_every_page_fits_every_terminal(size: tuple[int, int], page: Page) -> None:
    boards = ("hex8", "square8", "hexagonal", "square19")
    configs = tuple(f"{board}_{seats}p" for board in boards for seats in (2, 3, 4))
    hostile = "\x1b[31m\u202e\r\n" + "x" * 5000
    pauses = [f.PipelinePaused(scope=config, why=hostile) for config in configs]
    live = Seen(PLAN, FAILED, TRIAL, *pauses, configs=configs)
    live.beats = [
        Heartbeat(
            consumer="rater",
            node="n",
            instance="i",
            pid=1,
            doing=hostile,
            seq=1,
            errors=1,
            folds={},
        )
    ]
    for number in range(14):
        lines = shown(live, *size, place=Place(page, number, number), message=hostile)
        assert all(line.isprintable() for line in lines)


def test_a_terminal_that_is_not_utf8_gets_ascii() -> None:
    live = Seen(PLAN, FAILED, TRIAL, f.PipelinePaused(scope="all", why="y" * 200))
    live.plays("evaluation-events-4", 4, "evaluation")
    assert all(line.isascii() for line in shown(live, ascii_only=True))


def test_lines_are_printed_at_least_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("ringrift.cluster.watching.time.monotonic", lambda: now)
    live, text = Seen(PLAN), io.StringIO()
    screen = Watching(live, Console(file=text, width=200), "test")
    for second in range(130):
        now = live.now = float(second)
        live.hears(f.TickRecorded(minute=second))  # the server answers
        screen.show()
    times = [line.partition("  ")[0] for line in text.getvalue().splitlines()]
    assert times == ["0:00", "1:00", "2:00"]
    now = live.now = 130.0
    live.hears(f.PipelinePaused(scope="all", why="w"))
    screen.show()
    assert "2:10  all configs: all work paused (w)" in text.getvalue()


def test_keys_move_the_view() -> None:
    place = Place()
    for key in keys_in(b"\x1b[C\x1b[Bj\t\t"):
        place.after(key, 2)
    assert (place.config, place.scroll) == (1, 0)
    place.after("n", 2)
    assert place.page == "needs"
    place.after("escape", 2)
    assert place.page == "loop"
    place.after("p", 2)
    place.after("p", 2)
    assert place.page == "loop"
    assert keys_in(b"q\x1b") == ["q", "escape"]


def test_scrolling_ends_at_the_last_line() -> None:
    live, place = Seen(FAILED), Place("needs", scroll=100)
    assert "training failed" in "".join(shown(live, place=place))
    assert place.scroll == 0
