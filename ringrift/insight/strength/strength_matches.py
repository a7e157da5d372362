"""The matches that the strength commands play: against baselines, ladders, gauntlets, tiers."""

from collections.abc import Sequence
from typing import NamedTuple

from ringrift.errors import CommandError
from ringrift.events import facts
from ringrift.events.participants import seat
from ringrift.insight.rebuild import rebuild_elo
from ringrift.insight.strength.arena import Arena
from ringrift.insight.strength.measurements import MatchResult, Rung, StrengthReport, highest_beaten
from ringrift.learning import pairings
from ringrift.learning.pairings import TIERS, Pairing
from ringrift.rules.config import Config

STRENGTH_STARTS = 200
"""With 400 games of two seats, the interval of a score of 60 % begins at 55 %."""
LADDER_GAMES = 100
"""Games per rung at least; the interval of a score of 60 % then begins at 50 %."""
TOURNAMENT_MODELS_MIN = 2


class Climb(NamedTuple):
    """The tiers a player met, and the highest that it beat."""

    player: str
    highest_tier_beaten: str | None
    results: list[MatchResult]


def opponents_of(against: Sequence[str]) -> Sequence[str]:
    """Return the named opponents of `pairings.AGAINST`, all if none is named. Raises
    CommandError."""
    if unknown := sorted(set(against) - set(pairings.AGAINST)):
        known = ", ".join(pairings.AGAINST)
        raise CommandError(f"no opponent is called {', '.join(unknown)}; there are {known}")
    return against or pairings.AGAINST


async def play_strength(
    arena: Arena,
    model: str,
    simulations: int,
    opponents: Sequence[str],
    *,
    starts: int | None,
    seed: int,
    only_report: bool,
) -> StrengthReport:
    """Play a network against `opponents`, unless `only_report`. Raises CommandError."""
    digest = arena.known.model(model)
    if not only_report:
        asked = pairings.strength(digest, simulations, opponents, kind=_kind(arena, digest))
        await arena.play("strength", asked, starts=starts or STRENGTH_STARTS, seed=seed)
    return arena.known.report(digest)


async def play_ladder(
    arena: Arena, model: str | None, budgets: Sequence[int], *, starts: int | None, seed: int
) -> list[Rung]:
    """Play every searching harness against itself with the next lower budget, with the heuristic
    and with a network: `model`, else the current one if there is one. Raises CommandError."""
    wanted = model or ("current" if arena.known.view.current else None)
    digest = arena.known.model(wanted) if wanted else None
    kind = _kind(arena, digest) if digest else "network"
    config = Config.parse(arena.known.config)
    asked = pairings.ladder(config, sorted(budgets), model=digest, kind=kind)
    if not asked:
        raise CommandError(f"give at least two budgets for a ladder, not {list(budgets)}")
    enough = -(-LADDER_GAMES // config.seats)
    await arena.play("ladder", asked, starts=starts or enough, seed=seed)
    return arena.known.rungs()


async def play_gauntlet(
    arena: Arena, model: str, simulations: int, *, starts: int, seed: int
) -> tuple[list[MatchResult], list[facts.Rating]]:
    """Play a network under every compatible harness against both baselines."""
    digest, config = arena.known.model(model), Config.parse(arena.known.config)
    asked = pairings.gauntlet(config, digest, simulations, kind=_kind(arena, digest))
    return await _rated(arena, "gauntlet", asked, starts, seed)


async def play_round_robin(
    arena: Arena, models: Sequence[str], simulations: int, *, starts: int, seed: int
) -> tuple[list[MatchResult], list[facts.Rating]]:
    """Play every two of several networks. Raises CommandError for fewer than two."""
    digests = list(dict.fromkeys(arena.known.model(name) for name in models))
    if len(digests) < TOURNAMENT_MODELS_MIN:
        raise CommandError("a round robin needs two different networks: give --models A,B,...")
    asked = pairings.round_robin(digests, simulations)
    return await _rated(arena, "tournament", asked, starts, seed)


async def climb_tiers(
    arena: Arena, model: str, simulations: int, *, starts: int, seed: int
) -> Climb:
    """Play the tiers from D1 up to the first that is not beaten: the higher ones are expensive."""
    me = seat("gumbel", model=arena.known.model(model), simulations=simulations)
    results: list[MatchResult] = []
    for opponent in TIERS.values():
        results += await arena.play("tier", [Pairing(me, opponent)], starts=starts, seed=seed)
        if results[-1].verdict != "stronger":
            break
    names = [(name, opponent.participant) for name, opponent in TIERS.items()]
    return Climb(me.participant, highest_beaten(results, names), results)


async def _rated(
    arena: Arena, purpose: facts.Purpose, asked: Sequence[Pairing], starts: int, seed: int
) -> tuple[list[MatchResult], list[facts.Rating]]:
    """Return the results, and the ratings of their players as derived from the log."""
    results = await arena.play(purpose, asked, starts=starts, seed=seed)
    players = {one.participant for pairing in asked for one in pairing}
    ratings = [
        row
        for item in await rebuild_elo(arena.log)
        if item.config == arena.known.config
        for row in item.table.ratings
        if row.participant in players
    ]
    return results, ratings


def _kind(arena: Arena, digest: str) -> str:
    return pairings.kind_of(arena.known.models[digest].architecture)
