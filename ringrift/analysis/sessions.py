"""A game between people and participants: legal moves as choices, forced plies, hints, undo.

session = Session(config, [Person("Anna"), await library.participant(config, "D4")])
await session.advance(searcher)          # until a person has a choice, or the game is over
session.play("@d4")                      # one of session.choices()
await session.advance(searcher)
"""

import asyncio
import platform
import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ringrift.analysis.choices import Choice, choices, play_forced
from ringrift.analysis.participants import Participant
from ringrift.analysis.searching import Searcher
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.events.facts import GameCompleted, Seat
from ringrift.learning import targets
from ringrift.learning.play import Finished, Host, Start, game_fact, target_of
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import GAMES
from ringrift.rules import Config, Position, Record, layout as la
from ringrift.rules.notation import parse_token
from ringrift.rules.record import result_of

PLAY_PRIORITY: Final = 10
"""of a participant's move: people wait for it"""
KEEP_SECONDS_MAX: Final = 10.0
"""a server does not answer who may not write"""
_NAME: Final = re.compile(r'[^"\\\x00-\x1f\x7f-\x9f]{1,40}')


class Person(Struct, frozen=True):
    """A person at a seat."""

    name: str = "person"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CommandError("a name has 1 to 40 characters, no quotes or control characters")

    @property
    def title(self) -> str:
        return self.name


Player = Person | Participant


class Ply(Struct, frozen=True, kw_only=True):
    """A move that was played, by `seat`; `forced`: the only legal one, which played itself."""

    token: str
    seat: int
    forced: bool = False
    by_person: bool = False


class Session:
    """One game. `revision` grows with every change; participants with noise play other moves with
    another seed.

    Forced plies are played at once, after each choice and at the start."""

    def __init__(
        self, config: Config, players: Sequence[Player], *, pie: bool = False, seed: int = 0
    ) -> None:
        if len(players) != config.seats:
            raise CommandError(f"{config.key} has {config.seats} seats, not {len(players)}")
        if pie and config.seats != 2:
            raise CommandError("the pie rule is for two seats")
        self.config, self.players, self.pie, self.seed = config, tuple(players), pie, seed
        self.position = Position.start(config, pie)
        self.plies: list[Ply] = []
        self.revision = 0
        self._decisions: dict[int, targets.Decision] = {}
        self._forced()

    @property
    def over(self) -> bool:
        return self.position.over

    def player_at(self, seat: int) -> Player:
        """Return the player of a seat, who has traded seats after a swap by the pie rule."""
        swapped = bool(self.position.state[la.SWAPPED])
        return self.players[2 - seat if swapped else seat - 1]

    @property
    def turn(self) -> Player | None:
        """The player that has the choice; None when the game is over."""
        return None if self.over else self.player_at(self.position.seat)

    @property
    def awaits_person(self) -> bool:
        """Whether a person has the choice."""
        return isinstance(self.turn, Person)

    def choices(self) -> tuple[Choice, ...]:
        """Return the legal moves, without `resign`; none when the game is over."""
        return choices(self.position)

    def play(self, token: str) -> list[Ply]:
        """Play a move for the player that has the choice, and the forced plies after it; return
        what was played. Raises NotationError and IllegalMove, with the game unchanged."""
        position, before = self.position, len(self.plies)
        seat, person = position.seat, self.awaits_person
        position.play(token)
        self.plies.append(Ply(token=token, seat=seat, by_person=person))
        self._forced()
        return self.plies[before:]

    def resign(self) -> None:
        """End the game: the player that has the choice resigns. Raises IllegalMove when the game is
        over."""
        self.play("resign")

    @property
    def can_undo(self) -> bool:
        return any(ply.by_person for ply in self.plies)

    def undo(self) -> None:
        """Return to the last choice of a person, who chooses again. Raises CommandError if there is
        none."""
        places = [at for at, ply in enumerate(self.plies) if ply.by_person]
        if not places:
            raise CommandError("there is no choice of a person to undo")
        self.plies = self.plies[: places[-1]]
        self._decisions = {ply: d for ply, d in self._decisions.items() if ply < len(self.plies)}
        self.position = Position.start(self.config, self.pie)
        for ply in self.plies:
            self.position.play(ply.token)
        self.revision += 1

    async def step(self, searcher: Searcher) -> list[Ply]:
        """Let the participant that has the choice move; return what was played: nothing if a person
        has the choice, the game is over, or it changed while the participant searched."""
        player, revision = self.turn, self.revision
        if not isinstance(player, Participant):
            return []
        decision, _ = await searcher.search(
            player, self.position, seed=self.seed, priority=PLAY_PRIORITY
        )
        if self.revision != revision:
            return []
        if player.seat.simulations:
            ply = self.position.ply
            self._decisions[ply] = target_of(ply, decision)
        return self.play(self.position.token(decision.move))

    async def advance(self, searcher: Searcher) -> list[Ply]:
        """Let participants move until a person has the choice or the game is over; return what was
        played."""
        played: list[Ply] = []
        while step := await self.step(searcher):
            played += step
        return played

    def record(self) -> Record:
        """Return the game so far as a record."""
        names = tuple(player.title.replace('"', "") for player in self.players)
        moves, result = tuple(ply.token for ply in self.plies), result_of(self.position)
        return Record(self.config, names, self.pie, moves, result)

    def fact(
        self, *, game: str, node: str, settings_version: int, seconds: float = 0.0
    ) -> GameCompleted:
        """Return the finished game as a fact of origin `human`, whose ticket is its own id. Raises
        ValueError while the game runs."""
        config = self.config
        codes = [parse_token(config, ply.token) for ply in self.plies]
        end = Position(config, self.position.state.copy())
        order = tuple(range(config.seats))
        start = Start(game=game, players=order, seed=self.seed)
        decisions = [decision for _, decision in sorted(self._decisions.items())]
        return game_fact(
            Finished(start, codes, decisions, end, seconds),
            [_seat_of(player) for player in self.players],
            Host(node=node),
            origin="human",
            ticket=game,
            version=settings_version,
            pie=self.pie,
        )

    def _forced(self) -> None:
        """Play forced plies."""
        self.revision += 1
        for seat, token in play_forced(self.position):
            self.plies.append(Ply(token=token, seat=seat, forced=True))


async def keep(log: Log, session: Session, name: str, source: str, seconds: float) -> str:
    """Store a finished game, which took so long, in the log as a game of people; return its
    position. Raises Forbidden and TimeoutError for a log that may only be read."""
    _, version = await read.settings_in_force(log)
    node = platform.node() or source
    fact = session.fact(game=name, node=node, settings_version=version, seconds=seconds)
    async with asyncio.timeout(KEEP_SECONDS_MAX):
        (seq,) = await log.append([draft(fact, cause=None, source=source, key=name)])
    return f"{GAMES}/{seq}"


def _seat_of(player: Player) -> Seat:
    if isinstance(player, Participant):
        return player.seat
    name = re.sub(r"[^!-~]", "-", player.name)
    return Seat(participant=f"person:{name}", harness="person")
