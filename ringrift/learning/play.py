"""Playing whole games in lockstep and recording them as facts.

A batch of games is kept full: when a game ends, the next starts. The moves of a game depend only on
its own seed and the evaluator, not on the other games of the batch, so replaying a ticket gives the
same games."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from ringrift.events.facts import (
    GameCompleted,
    GameReanalysed,
    ReanalysisRequested,
    Seat,
    SelfplayPlanned,
)
from ringrift.events.participants import network_seat, seat
from ringrift.events.settings import SelfplaySettings
from ringrift.events.tickets import SelfplayTicket
from ringrift.learning import targets
from ringrift.learning.ends import end_of
from ringrift.learning.openings import NO_OPENING, Opening, even_openings
from ringrift.rules import Config, Position, layout as la
from ringrift.rules.compile import U
from ringrift.rules.notation import tokens
from ringrift.rules.version import RULES_VERSION
from ringrift.search.boards import Boards
from ringrift.search.gumbel.player import GumbelSearch
from ringrift.search.harness import HARNESSES, Model, Setup, kind_of, make_player
from ringrift.search.lockstep import load
from ringrift.search.players import Decision, Explainer, Player
from ringrift.search.splitmix import seed_of, uniform

PLIES_MAX: Final = 4000
OPENING: Final = -1  # index of the player that makes the random moves of openings
OWN, RIVAL = 0, 1  # indices of the network of a plan and of its opponent
# purposes of derived seeds
GAME_STREAM, OPENING_STREAM, LENGTH_STREAM, EVEN_STREAM, OPPONENT_STREAM, SEAT_STREAM = range(6)

Origin = Literal["selfplay", "evaluation", "tournament", "reanalysis", "human", "import"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A game to be played.

    game       its id
    players    index of the player at each seat
    seed       of the players' choices
    opening    its first moves, which are random
    """

    game: str
    players: tuple[int, ...]
    seed: int
    opening: Opening = NO_OPENING


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where games are played, which does not affect their moves.

    node       its name, recorded with each game
    threads    of the compiled parts of searches; None: all cores of this process
    width      how many of the given number of games may be searched at once; called before every
               decision, so that fewer are searched when memory is short
    between    called between decisions; may raise an exception to end the games
    """

    node: str
    threads: int | None = None
    width: Callable[[int], int] = int
    between: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Game:
    """A game in progress; `seconds` is its share of the elapsed time."""

    start: Start
    decisions: list[targets.Decision] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished game: codes of its moves, its searched decisions, the last position, its share of
    the elapsed time."""

    start: Start
    moves: list[int]
    decisions: list[targets.Decision]
    end: Position
    seconds: float


def play_out(
    config: Config,
    roster: Sequence[Player],
    starts: Iterable[Start],
    host: Host,
    *,
    batch: int,
    pie: bool = False,
    plies_max: int = PLIES_MAX,
    learn: Collection[int] = (),
) -> Iterator[Finished]:
    """Play `starts`, `batch` at a time, and yield each game when it ends.

    Decisions are recorded if the policy of the player is a target, and all of the players with the
    indices `learn`. A game is stopped after `plies_max` plies."""
    load(GumbelSearch)  # before the clocks of the games start
    boards = Boards(config, batch, plies_max)
    opening = make_player(config, "random", Setup(evaluator="none", threads=1))
    waiting = iter(starts)
    free = list(range(batch - 1, -1, -1))
    live: dict[int, _Game] = {}
    while True:
        while free and (start := next(waiting, None)) is not None:
            slot = free.pop()
            boards.start(slot, pie)
            live[slot] = _Game(start)
        if not live:
            return
        began = time.perf_counter()
        _one_decision(roster, opening, boards, live, host, learn=learn)
        share = (time.perf_counter() - began) / len(live)
        for slot, game in list(live.items()):
            game.seconds += share
            if boards.over(slot):
                del live[slot]
                free.append(slot)
                end = Position(config, boards.table.states[slot].copy())
                yield Finished(game.start, boards.moves(slot), game.decisions, end, game.seconds)
        host.between()


def _one_decision(
    roster: Sequence[Player],
    opening: Player,
    boards: Boards,
    live: dict[int, _Game],
    host: Host,
    *,
    learn: Collection[int],
) -> None:
    """Advance every live game by one decision and the forced plies after it; players choose for as
    many positions at once as the host allows."""
    table = boards.table
    groups: dict[int, list[int]] = {}
    for slot, game in live.items():
        groups.setdefault(_player_of(game.start, table.states[slot]), []).append(slot)
    moves: dict[int, int] = {}
    for index, group in _parts(groups, host):
        player = opening if index == OPENING else roster[index]
        starts = [live[slot].start for slot in group]
        seeds = [start.opening.seed if index == OPENING else start.seed for start in starts]
        decisions = player.choose(table.states[group], np.array(seeds, np.uint64))
        for slot, decision in zip(group, decisions, strict=True):
            if index != OPENING and (player.searches or index in learn):
                live[slot].decisions.append(target_of(int(table.plies[slot]), decision))
            moves[slot] = decision.move
    boards.play(list(moves), list(moves.values()))


def _parts(groups: dict[int, list[int]], host: Host) -> Iterator[tuple[int, list[int]]]:
    """Yield the slots of each player, as many at once as the host allows."""
    for index, group in sorted(groups.items()):
        step = host.width(len(group))
        for first in range(0, len(group), step):
            yield index, group[first : first + step]


def _player_of(start: Start, state: la.Words) -> int:
    """Return the index of the player to choose: chance in the opening, else the player of the seat
    to move; after a swap by the pie rule the two players have exchanged seats."""
    if state[la.PLY] < start.opening.plies:
        return OPENING
    seat = int(state[la.TURN])
    return start.players[2 - seat if state[la.SWAPPED] else seat - 1]


def target_of(ply: int, decision: Decision) -> targets.Decision:
    """Return the training target of a decision at a ply of its game, with those moves only that are
    recorded: the games in progress hold a thousand decisions each."""
    kept = targets.kept(decision.policy)
    return targets.Decision(ply, decision.values, kept, decision.policy[kept])


def player_of(config: Config, seat: Seat, model: Model | None, threads: int | None) -> Explainer:
    """Return the player of `seat`; `model` is its network. Raises HarnessError."""
    setup = Setup(
        evaluator=seat.evaluator,
        simulations=seat.simulations,
        considered=seat.considered,
        noise_plies=seat.noise_plies,
        threads=threads,
        model=model,
    )
    return make_player(config, seat.harness, setup)


def game_fact(
    finished: Finished,
    roster: Sequence[Seat],
    host: Host,
    *,
    origin: Origin,
    ticket: str,
    version: int,
    pie: bool = False,
) -> GameCompleted:
    """Return the fact of a finished game of the players `roster`; `version` is that of the
    settings."""
    start, config = finished.start, finished.end.config
    return GameCompleted(
        **end_of(finished.end),
        game=start.game,
        config=config.key,
        origin=origin,
        ticket=ticket,
        seats=tuple(roster[index] for index in start.players),
        pie=pie,
        seed=start.seed,
        moves=" ".join(tokens(config, np.array(finished.moves, np.int64))),
        targets=targets.encode(config.seats, finished.decisions),
        rules_version=RULES_VERSION,
        play_seconds=round(finished.seconds, 6),
        node=host.node,
        settings_version=version,
    )


def usual_seat(
    config: Config,
    plan: SelfplayPlanned | ReanalysisRequested | GameReanalysed,
    model: Model | None,
    **options: int,
) -> Seat:
    """Return the seat that produces targets for a plan: Gumbel search with the heuristic, or the
    usual search of the network."""
    if not plan.model:
        options = {"simulations": plan.simulations, **options}
        return seat("gumbel", model=None, evaluator=None, **options)
    kind = kind_of(model)
    return network_seat(plan.model, plan.simulations, kind=kind, seats=config.seats, **options)


def opponent_of(ticket: SelfplayTicket) -> Seat | None:
    """Return the opponent in the games of a ticket that have one: all meet the same, so that a
    worker holds two networks."""
    plan = ticket.plan
    drawn = seed_of(plan.seed, plan.generation, ticket.first_game, OPPONENT_STREAM)
    return plan.opponents[drawn % len(plan.opponents)] if plan.opponents else None


def players_of(plan: SelfplayPlanned, seed: int) -> tuple[int, ...]:
    """Return who has each seat of the game with a seed: `OWN`, or in a share of the games `RIVAL`
    at one of them."""
    seats = Config.parse(plan.config).seats
    drawn = seed_of(seed, SEAT_STREAM) % seats
    meets = uniform(U(seed), OPPONENT_STREAM) < plan.opponent_share
    return tuple(RIVAL if meets and seat == drawn else OWN for seat in range(seats))


def play_games(
    ticket: SelfplayTicket,
    settings: SelfplaySettings,
    host: Host,
    *,
    model: Model | None = None,
    opponent: Model | None = None,
) -> Iterator[GameCompleted]:
    """Play a self-play ticket, at most the harness's `lockstep` of games at once; yield each game
    when it ends.

    `model` is the network of the plan; without a model the heuristic evaluates the leaves.
    `opponent` is that of `opponent_of`; if it is missing, the network of the plan plays alone.
    Raises HarnessError if network and plan do not fit."""
    plan = ticket.plan
    config = Config.parse(plan.config)
    options: dict[str, Any] = {
        "considered": settings.considered,
        "noise_plies": settings.noise_plies,
    }
    same = usual_seat(config, plan, model, **options)
    if same.harness == "gumbel" and (harness := _harness(settings, model)) != "gumbel":
        options |= {"simulations": plan.simulations}
        same = seat(harness, model=plan.model, evaluator=same.evaluator, **options)
    player = player_of(config, same, model, host.threads)
    pie = settings.pie and config.seats == 2
    numbers = range(ticket.first_game, ticket.first_game + ticket.games)
    seeds = [seed_of(plan.seed, plan.generation, number) for number in numbers]

    # A share of the openings are ones that the player finds balanced.
    share = settings.even_openings if plan.model else 0.0
    # a search without noise would play the same game again and again
    plies = settings.opening_plies if player.searches else settings.noise_plies
    openings = [_opening(seed, plies) for seed in seeds]
    even = [index for index, seed in enumerate(seeds) if uniform(U(seed), EVEN_STREAM) < share]
    wanted = [openings[index].seed for index in even]
    chosen = even_openings(config, player, wanted, pie=pie, between=host.between)
    for index, opening in zip(even, chosen, strict=True):
        openings[index] = opening

    roster, players, rival = [same], [player], opponent_of(ticket)
    if rival and not (rival.model and opponent is None):
        roster.append(rival)
        players.append(player_of(config, rival, opponent, host.threads))
    starts = (
        Start(
            game=f"{ticket.ticket}-{index}",
            players=players_of(plan, seed) if len(roster) > 1 else (OWN,) * config.seats,
            seed=seed,
            opening=opening,
        )
        for index, (seed, opening) in enumerate(zip(seeds, openings, strict=True))
    )
    batch, longest = min(ticket.games, HARNESSES[same.harness].lockstep), settings.max_moves
    games = play_out(
        config, players, starts, host, batch=batch, pie=pie, plies_max=longest, learn=(OWN,)
    )
    version = plan.settings_version
    for game in games:
        yield game_fact(
            game, roster, host, origin="selfplay", ticket=ticket.ticket, version=version, pie=pie
        )


def _harness(settings: SelfplaySettings, model: Model | None) -> str:
    """Return the harness of a player with a policy: an NNUE does not run on a GPU."""
    if settings.harness == "puct":
        return "puct"
    wide = settings.harness == "gpu_gumbel" or (model is not None and model.gpu)
    return "gpu_gumbel" if wide and (model is None or model.nnue is None) else "gumbel"


def _opening(seed: int, plies_max: int) -> Opening:
    """Return a random opening of 0 to `plies_max` plies."""
    return Opening(seed_of(seed, OPENING_STREAM), seed_of(seed, LENGTH_STREAM) % (plies_max + 1))
