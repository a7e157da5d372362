"""How strong the networks are that a run had after some minutes, against opponents that do not
depend on it: the heuristic, and the search with the heuristic that plays before there is a
network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ringrift.events import facts as f
from ringrift.events.participants import network_seat, seat
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket
from ringrift.insight.generations import LoopView
from ringrift.learning.matches import play_match
from ringrift.learning.models import model_of
from ringrift.learning.play import Host
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.search.harness import Model

SIMULATIONS = 64
OPPONENTS = {"heuristic": seat("heuristic"), "search": seat("gumbel", simulations=SIMULATIONS)}
STARTS = {"square8": 50, "hex8": 50, "square19": 10, "hexagonal": 8}
"""of a match; a game of a large board takes a hundred times as long"""
HOST = Host(node="bench")


class Then(NamedTuple):
    """A config at a moment: the number of its networks with a verdict, and the digest of its
    current one, None before the first."""

    judged: int
    model: str | None


async def states_at(
    log: Log, configs: Sequence[str], minutes: Sequence[float]
) -> dict[tuple[str, float], Then]:
    """Each config after so many minutes of the log, or at its end."""
    view, left, found = LoopView(), sorted(minutes), dict[tuple[str, float], Then]()
    start = None

    def note(moment: float) -> None:
        for config in configs:
            item = view.of(config)
            judged = sum(row.promoted is not None for row in item.generations.values())
            found[config, moment] = Then(judged, item.current)

    async for recorded in read.facts(log):
        start = start or recorded.meta.time
        while left and (recorded.meta.time - start).total_seconds() > 60.0 * left[0]:
            note(left.pop(0))
        view.take(recorded)
    for moment in left:
        note(moment)
    return found


def units(configs: Sequence[str], minutes: Sequence[float]) -> dict[str, str]:
    """The names and units of what `figures` returns."""
    found = {}
    for config in configs:
        for moment in minutes:
            found[_name(config, moment, "judged")] = "networks"
            found |= dict.fromkeys((_name(config, moment, name) for name in OPPONENTS), "Elo")
    return found


def figures(
    states: dict[tuple[str, float], Then], networks: dict[str, bytes]
) -> Iterator[tuple[str, float]]:
    """Measure each network once; yield each figure with its name."""
    known: dict[tuple[str, str | None, str], float] = {}
    for (config, moment), then in states.items():
        yield _name(config, moment, "judged"), float(then.judged)
        for name, opponent in OPPONENTS.items():
            key = config, then.model, name
            if key not in known:
                data = networks[then.model] if then.model else None
                known[key] = elo(config, then.model, data, opponent)
            yield _name(config, moment, name), known[key]


def _name(config: str, moment: float, what: str) -> str:
    return f"{config} after {moment:g} min/{what}"


def elo(config: str, digest: str | None, data: bytes | None, opponent: f.Seat) -> float:
    """Elo of a network above an opponent, of the search with the heuristic without one; from the
    mean rank, which is as that of the others if they are equally strong."""
    model: Model | None = None
    candidate = OPPONENTS["search"]
    if digest is not None and data is not None:
        model = model_of(data, digest=digest, config=config)
        kind = "network" if model.nnue is None else "nnue_policy" if model.policy else "nnue"
        candidate = network_seat(digest, SIMULATIONS, kind=kind, seats=f.seats_of(config))
    if candidate == opponent:
        return 0.0
    request = f.EvaluationRequested(
        config=config,
        generation=0,
        candidate=candidate,
        opponent=opponent,
        purpose="strength",
        round=0,
        starts=STARTS[config.partition("_")[0]],
        seed=1,
        settings_version=0,
    )
    ticket = EvaluationTicket(ticket="bench", cause="EVENTS/1", request=request)

    def own(_: str) -> Model:
        assert model is not None
        return model

    *_, score = play_match(ticket, EvaluationSettings(), HOST, model_of=own)
    assert isinstance(score, f.EvaluationScored)
    points = sum(share * count for share, count in score.scores) + 0.5  # so that none is infinite
    others = request.starts + 1.0 - points
    return 400.0 * math.log10(points / others)
