"""Verification of games: each is replayed by the rules and belongs to a ticket that was asked for;
the games of a ticket are all there, and every score is counted again from its games."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ringrift.consumers.verification.history import History
from ringrift.consumers.verification.report import Problem
from ringrift.events import Recorded, facts
from ringrift.events.tickets import EvaluationTicket, request_of
from ringrift.learning.matches import score_of
from ringrift.learning.play import Host
from ringrift.learning.shards import GameRejected, check_game
from ringrift.log.topology import EVENTS, GAMES

INDEX_MAX = 100_000
"""Games of one ticket; a higher index is no index."""
COUNTED = ("games", "wins", "scores", "rankings", "candidate", "candidate_model", "opponent")
"""Fields of a score that follow from its games. `play_seconds` does not: a game that was played
again after a restart is stored as it was first played."""


class _Games:
    """The games of one ticket: which are there (bit i: game i), and those of a match, without moves
    and targets, with the seats of the candidate until their score is counted."""

    def __init__(self) -> None:
        self.indices = 0
        self.match: list[tuple[facts.GameCompleted, int]] = []


class GameLedger:
    """The games of all tickets."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._of: dict[str, _Games] = {}
        self._early: list[tuple[facts.GameCompleted, int, str | None]] = []
        """Games without moves and targets whose requests are not folded yet."""

    def resume(self) -> Iterator[Problem]:
        """Count the games that came too early, and yield the problems with their tickets."""
        early, self._early = self._early, []
        for item in early:
            yield from self.take(*item)

    def take(self, game: facts.GameCompleted, seq: int, cause: str | None) -> Iterator[Problem]:
        """Count a game and yield the problems with the ticket that it names."""
        name = f"{GAMES}/{seq}"
        if game.origin in ("import", "human"):  # no request asks for them
            return
        stream, _, number = (cause or "").partition("/")
        if stream == EVENTS and number.isdecimal() and int(number) > self.history.seq:
            self._early.append((replace(game, moves="", targets=b""), seq, cause))
            return
        index = _index(game)
        request, asked_at = self.history.requests.get(request_of(game.ticket), (None, ""))
        asked = isinstance(request, facts.SelfplayPlanned | facts.EvaluationRequested)
        if request is None or not asked or request.config != game.config or cause != asked_at:
            text = f"game {game.game} is of ticket {game.ticket}, which no request asks for"
            yield Problem("game", name, "fail", text)
            return
        if index is None:
            text = f"game {game.game} does not belong to its ticket {game.ticket}"
            yield Problem("game", name, "fail", text)
            return
        found = self._of.setdefault(game.ticket, _Games())
        if found.indices >> index & 1:
            text = f"game {game.game} is stored again; the first one counts"
            yield Problem("game", name, "warn", text)
            return
        found.indices |= 1 << index
        if isinstance(request, facts.EvaluationRequested):
            candidate = index % len(game.seats)
            expected = [request.opponent] * len(game.seats)
            expected[candidate] = request.candidate
            if list(game.seats) != expected:
                text = f"the seats of game {game.game} are not those of its match"
                yield Problem("game", name, "fail", text)
            found.match.append((replace(game, moves="", targets=b""), candidate))

    def compare(self) -> Iterator[Problem]:
        """Yield the finished tickets whose games or scores differ from what their outcomes say, and
        forget them."""
        for ticket, (count, position) in self.history.outcomes.items():
            there = found.indices.bit_count() if (found := self._of.get(ticket)) else 0
            if there != count:
                text = f"ticket {ticket} finished with {count} games, {there} are stored"
                yield Problem("game", position, "fail", text)
        for ticket, (score, position) in self.history.scores.items():
            try:
                text = self._difference(ticket, score)
            except Exception as error:  # noqa: BLE001  the other scores are counted
                text = f"cannot be counted again: {type(error).__name__}: {error}"
            if text:
                text = f"the score of ticket {ticket} {text}"
                yield Problem("score", position, "fail", text)
        self.history.outcomes.clear()
        self.history.scores.clear()

    def _difference(self, ticket: str, score: facts.EvaluationScored) -> str:
        """Return how a score differs from its games, which are forgotten; empty if it does not."""
        request, asked_at = self.history.requests.get(request_of(ticket), (None, ""))
        if not isinstance(request, facts.EvaluationRequested):
            return "was not asked for"
        games = self._of.get(ticket, _Games())
        if not games.match:
            return f"counts {score.games} games, none are stored"
        asked = EvaluationTicket(ticket=ticket, cause=asked_at, request=request)
        counted = score_of(asked, Host(node=score.node), games.match)
        games.match = []
        fields = [
            f"{name} {getattr(score, name)!r} should be {getattr(counted, name)!r}"
            for name in COUNTED
            if getattr(score, name) != getattr(counted, name)
        ]
        return f"differs from its games: {'; '.join(fields)}" if fields else ""


def replayed(games: Sequence[Recorded[facts.GameCompleted]]) -> list[Problem]:
    """Replay games by the rules and return the problems."""
    found = []
    for game, meta in games:
        try:
            check_game(game)
        except GameRejected as error:
            found.append(Problem("game", meta.position, "fail", f"game {game.game}: {error}"))
        except Exception as error:  # noqa: BLE001  the other games are replayed
            text = f"game {game.game}: {type(error).__name__}: {error}"
            found.append(Problem("game", meta.position, "fail", text))
    return found


def _index(game: facts.GameCompleted) -> int | None:
    """Return the number of a game of its ticket, None if its id is not one of the ticket's."""
    number = game.game.removeprefix(f"{game.ticket}-")
    if not number.isascii() or not number.isdecimal() or len(number) > len(str(INDEX_MAX)):
        return None
    return int(number) if int(number) <= INDEX_MAX and str(int(number)) == number else None
