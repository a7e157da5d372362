"""Few tickets are on the queue, and the next one is that of the config whose turn it is."""

from __future__ import annotations

import heapq
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import get_args

from msgspec.structs import replace
from support.loop_facts import planned, scored

from ringrift.deciders.fleet.order import (
    GAME_SECONDS,
    OVERDUE_FACTOR,
    OVERDUE_SECONDS,
    TICKET_SECONDS_MAX,
    WORKERS_UNKNOWN,
    Order,
)
from ringrift.events import Fact
from ringrift.events.facts import (
    ConfigName,
    ConsumerStarted,
    ConsumerStopped,
    EvaluationRequested,
    NodeAssigned,
    NodePresenceChanged,
    NodeUse,
    PipelinePaused,
    PipelineResumed,
    SelfplayFinished,
    TickRecorded,
    UtilisationSampled,
    WorkEscalated,
)
from ringrift.events.participants import seat
from ringrift.events.tickets import Ticket, config_of

SMALL = [config for config in get_args(ConfigName) if config.startswith(("hex8", "square8"))]
SECONDS = {config: 15.0 if config in SMALL else 75.0 for config in get_args(ConfigName)}
"""of a match on one core"""


class Log:
    """The order after the facts so far."""

    def __init__(self) -> None:
        self.order, self.seq, self.now = Order(), 0, 0.0

    def take(self, *facts: Fact) -> list[Ticket]:
        found: list[Ticket] = []
        for fact in facts:
            self.seq += 1
            time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)
            found += self.order.take(fact, f"EVENTS/{self.seq}", time)
        return found

    def names(self, *facts: Fact) -> list[str]:
        return [ticket.ticket for ticket in self.take(*facts)]


def plan(config: str = "hex8_2p", games: int = 96, per_ticket: int = 8):
    return replace(planned(games=games), config=config, games_per_ticket=per_ticket)


def finished(ticket: str, config: str = "hex8_2p", games: int = 8, seconds: float = 1.0):
    return SelfplayFinished(
        config=config,
        generation=0,
        ticket=ticket,
        games=games,
        plies=1,
        play_seconds=seconds,
        node="n",
    )


def started(consumer: str, instance: str = "i", node: str = "n") -> ConsumerStarted:
    return ConsumerStarted(node=node, consumer=consumer, instance=instance, version="1")


def match(config: str) -> EvaluationRequested:
    return EvaluationRequested(
        config=config,
        generation=1,
        candidate=seat("gumbel", model="a" * 64, simulations=32),
        opponent=seat("heuristic"),
        purpose="heuristic",
        round=0,
        starts=1,
        seed=1,
        settings_version=1,
    )


def test_one_more_ticket_than_workers_is_on_the_queue() -> None:
    log = Log()
    assert log.names(plan()) == [f"selfplay-events-1-{n}" for n in range(WORKERS_UNKNOWN + 1)]
    assert log.names(finished("selfplay-events-1-1")) == ["selfplay-events-1-3"]
    assert len(log.take(*(started("selfplay", i) for i in "abcdef"))) == 4, "six and one, not three"


def test_workers_are_counted_by_their_starts_stops_assignments_and_samples() -> None:
    log = Log()
    log.take(*(started("evaluator", i) for i in "abc"), started("planner"))
    assert log.order.workers("evaluation") == 3
    log.take(ConsumerStopped(node="n", consumer="evaluator", instance="a", why="ended"))
    assert log.order.workers("evaluation") == 2
    use = NodeUse(cores=1, players=1, busy={}, waited={})
    log.take(UtilisationSampled(seconds=60.0, nodes={"n": use}))
    assert (log.order.workers("evaluation"), log.order.workers("selfplay")) == (1, 1)
    for kinds, expected in ((("selfplay",), 0), (("evaluation",), 1)):
        fact = NodeAssigned(node="n", kinds=kinds, ticket_seconds=1.0, why="w", settings_version=1)
        log.take(fact)
        assert log.order.workers("evaluation") == expected


def test_workers_of_an_absent_node_count_again_when_it_is_back() -> None:
    log = Log()
    log.take(started("evaluator"))
    for present, expected in ((False, 0), (True, 1)):
        fact = NodePresenceChanged(
            node="n", present=present, left=False, silent_seconds=1.0, processes=1
        )
        log.take(fact)
        assert log.order.workers("evaluation") == expected


def test_a_worker_that_claims_years_of_work_does_not_stop_its_config() -> None:
    log = Log()
    (ticket,) = log.names(plan(), finished("selfplay-events-1-0", seconds=1e12))[3:]
    assert log.order.offered[ticket].seconds == TICKET_SECONDS_MAX


def test_a_small_config_does_not_wait_for_the_tickets_of_a_large_one() -> None:
    log = Log()
    log.take(plan("hexagonal_4p"))
    log.take(finished("selfplay-events-1-0", "hexagonal_4p", seconds=500.0))
    log.take(plan("hex8_2p", games=16))
    (ticket,) = log.take(finished("selfplay-events-1-1", "hexagonal_4p", seconds=500.0))
    assert config_of(ticket) == "hex8_2p"


def test_paused_tickets_leave_room_for_others() -> None:
    log = Log()
    log.take(plan("hex8_2p"))
    assert log.names(plan("hex8_3p")) == []
    assert len(log.take(PipelinePaused(scope="hex8_2p", kind="all", why="w"))) == 3
    assert log.names(PipelineResumed(scope="hex8_2p", kind="all", why="w")) == []
    assert len(log.order.offered) == 6


def test_an_escalated_request_is_on_the_queue_in_whole() -> None:
    log = Log()
    log.take(plan())
    escalated = WorkEscalated(
        config="hex8_2p",
        kind="selfplay",
        request="EVENTS/1",
        waited_seconds=1.0,
        settings_version=1,
    )
    assert log.take(escalated) == [], "the dispatcher puts them in front"
    assert log.order.offered.keys() == log.order.outstanding.keys()


def test_tickets_that_are_tried_again_later_do_not_block_the_others() -> None:
    log = Log()
    log.take(plan())
    log.now = OVERDUE_SECONDS
    assert log.names(TickRecorded(minute=2)) == []
    log.now += OVERDUE_FACTOR * 8 * GAME_SECONDS["hex8"] + 1.0
    assert len(log.take(TickRecorded(minute=3))) == WORKERS_UNKNOWN + 1


def test_an_outcome_counts_once() -> None:
    log = Log()
    log.take(plan(), finished("selfplay-events-1-0"))
    assert log.names(finished("selfplay-events-1-0")) == []


def two_cores(minutes: float) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Waits and busy seconds of the matches of all configs on two cores. Each config asks for two
    matches, and for two more a minute after they are played."""
    log, serial, free = Log(), count(), 2
    log.take(started("evaluator", "a"), started("evaluator", "b"))
    events: list[tuple[float, int, str, str]] = [(0.0, next(serial), c, "") for c in SECONDS]
    queue, asked, left = list[Ticket](), dict[str, float](), defaultdict[str, int](int)
    waits, spent = defaultdict[str, list[float]](list), defaultdict[str, float](float)
    while events[0][0] < 60.0 * minutes:
        log.now, _, config, ticket = heapq.heappop(events)
        if ticket:
            free, left[config] = free + 1, left[config] - 1
            spent[config] += SECONDS[config]
            score = replace(scored("heuristic", 1, 0), config=config, ticket=ticket, rankings=())
            queue += log.take(replace(score, play_seconds=SECONDS[config]))
            if not left[config]:
                heapq.heappush(events, (log.now + 60.0, next(serial), config, ""))
        else:
            left[config] = 2
            queue += log.take(match(config), match(config))
        for name in log.order.outstanding:
            asked.setdefault(name, log.now)
        while free and queue:
            taken, free = queue.pop(0), free - 1
            config = config_of(taken)
            waits[config].append(log.now - asked[taken.ticket])
            end = log.now + SECONDS[config]
            heapq.heappush(events, (end, next(serial), config, taken.ticket))
    return waits, spent


def test_on_two_cores_no_match_waits_longer_than_the_shares_of_the_others() -> None:
    """First come, first served, two matches of 15 s waited more than 800 s behind longer ones."""
    waits, spent = two_cores(minutes=60.0)
    for config, seconds in SECONDS.items():
        others = [each for name, each in SECONDS.items() if name != config]
        before = 2 * len(others) * seconds + sum(others)  # it has two at a time
        assert max(waits[config]) <= before / 2 + max(others), config
    small, large = (spent["hex8_2p"], spent["hexagonal_2p"])
    assert small >= large / 3, "though it asks for nothing half of the time"
    assert sum(spent.values()) >= 0.95 * 2 * 3600.0


def test_a_config_whose_ticket_a_slow_node_took_is_served_like_the_others() -> None:
    """Its ticket took fifty times as long as predicted, as all tickets of that node do."""
    log = Log()
    log.take(plan("hex8_2p", games=800), plan("square8_2p", games=800))
    for number in range(6):
        config = ("hex8_2p", "square8_2p")[number % 2]
        name = f"selfplay-events-{1 + number % 2}-{number // 2}"
        slow = replace(finished(name, config, seconds=60.0), node="slow")
        log.take(slow if number == 4 else finished(name, config, seconds=1.2))
    offered = [config_of(ticket) for ticket in _served(log, 20)]
    assert 8 <= offered.count("hex8_2p") <= 12, offered


def _served(log: Log, count: int) -> list[Ticket]:
    """The next tickets that are put on the queue while those on it are played, oldest first."""
    found: list[Ticket] = []
    while len(found) < count:
        name = next(iter(log.order.offered))
        found += log.take(finished(name, config_of(log.order.outstanding[name]), seconds=1.2))
    return found
