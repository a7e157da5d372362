"""Matches: each start is played once for each seat of the candidate, so that neither seats nor
starts favour a side.

With two seats a start gives two games. With more seats, the candidate has one seat and copies of
the opponent have the others."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

from msgspec.structs import replace

from ringrift.events import facts as f
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket
from ringrift.learning import play
from ringrift.learning.effort import Measured
from ringrift.learning.openings import Opening, even_openings
from ringrift.rules.config import Config
from ringrift.search.harness import HARNESSES, Model
from ringrift.search.players import Player
from ringrift.search.splitmix import seed_of

CANDIDATE, OPPONENT = 0, 1


def play_match(
    ticket: EvaluationTicket,
    settings: EvaluationSettings,
    host: play.Host,
    *,
    model_of: Callable[[str], Model],
    plies_max: int = play.PLIES_MAX,
) -> Iterator[f.GameCompleted | f.EvaluationScored]:
    """Play an evaluation ticket, at most the larger `lockstep` of the two harnesses of games at
    once; yield each game when it ends, stopped after `plies_max` plies, and finally the score.

    `model_of` returns the network with a digest. Raises HarnessError if a seat cannot be played."""
    request = ticket.request
    config = Config.parse(request.config)
    pair = (request.candidate, request.opponent)
    models = [model_of(seat.model) if seat.model else None for seat in pair]
    players = [
        play.player_of(config, seat, model, host.threads)
        for seat, model in zip(pair, models, strict=True)
    ]
    referee = players[OPPONENT] if all(models) else None
    openings = openings_of(ticket, settings, referee, host.between)
    lockstep = max(HARNESSES[seat.harness].lockstep for seat in pair)
    batch, starts = min(lockstep, request.starts * config.seats), starts_of(ticket, openings)
    origin: play.Origin = "tournament" if request.purpose in f.MEASURING else "evaluation"
    version, games = request.settings_version, list[tuple[f.GameCompleted, int]]()
    measured = [Measured(config, player) for player in players]
    for finished in play.play_out(config, measured, starts, host, batch=batch, plies_max=plies_max):
        fact = play.game_fact(
            finished, pair, host, origin=origin, ticket=ticket.ticket, version=version
        )
        games.append((fact, finished.start.players.index(CANDIDATE)))
        yield fact
    sides = [one for one in zip(pair, measured, strict=True) if one[1].decisions]
    efforts = tuple(side.effort(seat.participant) for seat, side in sides)
    lines = tuple(side.line for _, side in sides)
    yield replace(score_of(ticket, host, games), efforts=efforts, lines=lines)


def openings_of(
    ticket: EvaluationTicket,
    settings: EvaluationSettings,
    referee: Player | None,
    between: Callable[[], None] = lambda: None,
) -> Iterator[Opening]:
    """Return the random opening of each start: the one of several that the referee finds most
    balanced, or without a referee any of `opening_plies` plies.

    In a match of two networks the opponent is the referee. Both play each opening from each seat,
    so that errors of the referee favour neither."""
    request = ticket.request
    seeds = [seed_of(request.seed, play.OPENING_STREAM, start) for start in range(request.starts)]
    if referee is None or not settings.even_openings:
        return (Opening(seed, settings.opening_plies) for seed in seeds)
    return even_openings(Config.parse(request.config), referee, seeds, between=between)


def starts_of(ticket: EvaluationTicket, openings: Iterable[Opening]) -> Iterator[play.Start]:
    """Yield all games of a match. The games of a start share its opening; their ids are
    `<ticket>-<start * seats + rotation>`."""
    request = ticket.request
    seats = Config.parse(request.config).seats
    for start, opening in enumerate(openings):
        for rotation in range(seats):
            yield play.Start(
                game=f"{ticket.ticket}-{start * seats + rotation}",
                players=tuple(CANDIDATE if seat == rotation else OPPONENT for seat in range(seats)),
                seed=seed_of(request.seed, play.GAME_STREAM, start, rotation),
                opening=opening,
            )


def score_of(
    ticket: EvaluationTicket, host: play.Host, games: Sequence[tuple[f.GameCompleted, int]]
) -> f.EvaluationScored:
    """Return the score of a match from its games in any order, each with the seat of the candidate
    (from 0), but without efforts and lines."""
    request, seats = ticket.request, len(games[0][0].seats)
    share = Fraction(1, seats * (seats - 1))  # of one point in the mean of a start
    starts: dict[int, Fraction] = defaultdict(Fraction)
    rankings: Counter[tuple[tuple[str, ...], tuple[int, ...]]] = Counter()
    for game, candidate in games:
        start = int(game.game.rpartition("-")[2]) // seats
        # in a game that was stopped, every seat has half of the points
        stopped = max(game.ranks) == 1
        starts[start] += Fraction(seats - 1, 2) if stopped else seats - game.ranks[candidate]
        names = [seat.participant for seat in game.seats]
        ranks, order = zip(*sorted(zip(game.ranks, names, strict=True)), strict=True)
        rankings[order, ranks] += 1
    scores = Counter(points * share for points in starts.values())
    return f.EvaluationScored(
        config=request.config,
        generation=request.generation,
        ticket=ticket.ticket,
        candidate=request.candidate.participant,
        candidate_model=request.candidate.model,
        opponent=request.opponent.participant,
        purpose=request.purpose,
        round=request.round,
        games=len(games),
        wins=float(sum(game.winner == candidate + 1 for game, candidate in games)),
        scores=tuple((float(score), count) for score, count in sorted(scores.items())),
        rankings=tuple(
            f.Ranking(order=order, ranks=ranks, count=count)
            for (order, ranks), count in sorted(rankings.items())
        ),
        play_seconds=round(sum(game.play_seconds for game, _ in games), 6),
        node=host.node,
    )
