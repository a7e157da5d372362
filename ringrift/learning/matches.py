"""Matches: each start is played once for each seat of the candidate, so that neither seats nor
starts favour a side.

With two seats a start gives two games. With more seats, the candidate has one seat and copies of
the opponent have the others."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from ringrift.events import facts as f
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket
from ringrift.learning import play
from ringrift.learning.openings import Opening, even_openings
from ringrift.rules.config import Config
from ringrift.search.harness import HARNESSES, Model
from ringrift.search.players import Player
from ringrift.search.splitmix import seed_of

CANDIDATE, OPPONENT = 0, 1


def play_match(
    ticket: EvaluationTicket,
    settings: EvaluationSettings,
    *,
    node: str,
    model_of: Callable[[str], Model],
    batch: int | None = None,
    threads: int | None = None,
    width: play.Width = int,
    progress: Callable[[play.Progress], None] = lambda _: None,
) -> Iterator[f.GameCompleted | f.EvaluationScored]:
    """Play an evaluation ticket; yield each game when it ends, and finally the score.

    `model_of` returns the network with a digest. `batch` is the number of games at once; the
    default is the larger `lockstep` of the two harnesses. Raises HarnessError if a seat cannot be
    played."""
    request = ticket.request
    config = Config.parse(request.config)
    pair = (request.candidate, request.opponent)
    models = [model_of(seat.model) if seat.model else None for seat in pair]
    players = [
        play.player_of(config, seat, model, threads)
        for seat, model in zip(pair, models, strict=True)
    ]
    referee = players[OPPONENT] if all(models) else None
    openings = openings_of(ticket, settings, referee, lambda: progress(play.Progress()))
    batch = batch or max(HARNESSES[seat.harness].lockstep for seat in pair)
    batch = min(batch, request.starts * config.seats)
    tally = Tally(config, request)
    for finished in play.play_out(
        config, players, starts_of(ticket, openings), batch=batch, width=width, progress=progress
    ):
        fact = play.game_fact(
            config,
            finished,
            tuple(pair[index] for index in finished.start.players),
            origin="tournament" if request.purpose in f.MEASURING else "evaluation",
            ticket=ticket.ticket,
            node=node,
            version=request.settings_version,
        )
        tally.add(fact, finished.start.players.index(CANDIDATE))
        yield fact
    yield tally.scored(ticket.ticket, node)


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


class Tally:
    """Accumulates the results of the games of a match, in any order."""

    def __init__(self, config: Config, request: f.EvaluationRequested) -> None:
        self._config, self._request = config, request
        # Of the candidate by start, in units of 1 / (n (n - 1)) of a start's mean
        self._points: Counter[int] = Counter()
        self._rankings: Counter[tuple[tuple[str, ...], tuple[int, ...]]] = Counter()
        self._games, self._wins, self._seconds = 0, 0, 0.0

    def add(self, game: f.GameCompleted, candidate: int) -> None:
        """Add a game in which the candidate had seat `candidate` (from 0)."""
        n = self._config.seats
        index = int(game.game.rpartition("-")[2])
        self._points[index // n] += n - game.ranks[candidate]
        names = [seat.participant for seat in game.seats]
        ranks, order = zip(*sorted(zip(game.ranks, names, strict=True)), strict=True)
        self._rankings[order, ranks] += 1
        self._games += 1
        self._wins += game.winner == candidate + 1
        self._seconds += game.play_seconds

    def scored(self, ticket: str, node: str) -> f.EvaluationScored:
        """Return the result of the match."""
        request, n = self._request, self._config.seats
        starts = Counter(Fraction(points, n * (n - 1)) for points in self._points.values())
        rankings = sorted(self._rankings.items())
        return f.EvaluationScored(
            config=request.config,
            generation=request.generation,
            ticket=ticket,
            candidate=request.candidate.participant,
            candidate_model=request.candidate.model,
            opponent=request.opponent.participant,
            purpose=request.purpose,
            round=request.round,
            games=self._games,
            wins=float(self._wins),
            scores=tuple((float(score), count) for score, count in sorted(starts.items())),
            rankings=tuple(
                f.Ranking(order=order, ranks=ranks, count=count)
                for (order, ranks), count in rankings
            ),
            play_seconds=round(self._seconds, 6),
            node=node,
        )
