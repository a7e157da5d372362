"""Who plays or analyses: participants by the texts that people write, with their networks.

D1 ... D10            a tier, which needs no network
HARNESS[:BUDGET]      a harness with the heuristic, such as minimax:2048
NETWORK[:BUDGET]      Gumbel search with a network: `current`, a digest, a file
NETWORK@HARNESS[:BUDGET]
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ringrift.errors import CommandError
from ringrift.events import facts
from ringrift.events.facts import Seat
from ringrift.events.participants import participant, seat
from ringrift.insight.describe import short
from ringrift.learning.pairings import TIERS
from ringrift.learning.play import player_of
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.rules.config import Config
from ringrift.runtime.host import threads
from ringrift.search.harness import HARNESSES, Model

CURRENT: Final = "current"
NETWORKS_MAX: Final = 4
"""networks in memory"""
BUDGET_MAX: Final = 100_000
"""simulations or positions of one search"""
NOISE_PLIES: Final = 6
"""at the start of a game with a person, in which Gumbel searches sample their moves"""


@dataclass(frozen=True, slots=True, eq=False)
class Participant:
    """A seat of the log's facts, and the network that it names."""

    seat: Seat
    model: Model | None = None

    @property
    def title(self) -> str:
        """A name for people, such as `gumbel, 64 simulations, network c0ffee000000`."""
        network = f", network {short(self.seat.model)}" if self.seat.model else ""
        budget = f", {self.seat.simulations} simulations" if self.seat.simulations else ""
        return f"{self.seat.harness}{budget}{network}"

    def with_budget(self, simulations: int) -> "Participant":
        """Return the same participant with another budget."""
        changed = replace(self.seat, simulations=simulations)
        return Participant(replace(changed, participant=participant(changed)), self.model)


class Wish(Struct, frozen=True, kw_only=True):
    """What a text asks for; without a budget the usual one of the harness."""

    harness: str
    network: str | None = None
    simulations: int | None = None


def parse(text: str) -> Wish:
    """Return what a text asks for. Raises CommandError."""
    if tier := TIERS.get(text.upper()):
        return Wish(harness=tier.harness, simulations=tier.simulations)
    name, colon, digits = text.rpartition(":")
    budget: int | None = None
    if colon and digits.isdecimal() and len(digits) <= len(str(BUDGET_MAX)):
        text, budget = name, int(digits)
    network, at, harness = text.rpartition("@")
    if not at:
        network, harness = ("", text) if text in HARNESSES else (text, "gumbel")
    if harness not in HARNESSES or not (network or (text and not at)):
        forms = "a tier D1 to D10, a harness such as minimax:2048, `current`, a digest or a file"
        raise CommandError(f"{text!r} is no player: give {forms}")
    return Wish(harness=harness, network=network or None, simulations=budget)


def usual_budget(harness: str) -> int:
    """Return a budget at which a harness answers within seconds; 0 if it does not search."""
    ladder = HARNESSES[harness].ladder
    return ladder[len(ladder) // 2] if ladder else 0


class Library:
    """Networks by name, read from the log or from files and kept in memory.

    `files`: whether a name may be that of a file of this machine."""

    def __init__(self, log: Log | None = None, *, files: bool = False) -> None:
        self._log, self._files = log, files
        self._kept: OrderedDict[tuple[str, str], Model] = OrderedDict()

    async def participant(self, config: Config, wish: Wish | str, **options: int) -> Participant:
        """Return the participant that a text asks for; `options` are further fields of `Seat`.

        Raises CommandError, HarnessError, and errors of reading the network."""
        wish = parse(wish) if isinstance(wish, str) else wish
        budget = usual_budget(wish.harness) if wish.simulations is None else wish.simulations
        if budget > BUDGET_MAX:
            raise CommandError(f"a budget of {budget:,} is more than {BUDGET_MAX:,}")
        digest, model = None, None
        if wish.network:
            digest, model = await self.network(wish.network, config)
        evaluator = None
        if model and model.nnue and "nnue" in HARNESSES[wish.harness].evaluators:
            evaluator = "nnue"
        made = seat(wish.harness, model=digest, simulations=budget, evaluator=evaluator, **options)
        found = Participant(made, model)
        player_of(config, made, model, threads=1)  # raises if the parts do not go together
        return found

    async def opponent(self, config: Config, text: str) -> Participant:
        """Return the participant that a text asks for, to play a game with a person: its first
        moves differ from game to game. Raises as `participant` does."""
        wish = parse(text)
        noise = NOISE_PLIES if wish.harness == "gumbel" else 0
        return await self.participant(config, wish, noise_plies=noise)

    async def network(self, name: str, config: Config) -> tuple[str, Model]:
        """Return digest and network of `current`, a digest or a file. Raises CommandError,
        CheckpointError and StreamError."""
        if name == CURRENT:
            current = await self.current(config)
            if current is None:
                remedy = "name a player without a network, such as D5"
                raise CommandError(f"{config.key} has no current network: {remedy}")
            name = current
        if (name, config.key) in self._kept:
            self._kept.move_to_end((name, config.key))
            return name, self._kept[name, config.key]
        # torch takes seconds to import
        from ringrift.insight.models import model_store

        if model_store.is_file(name) and not self._files:
            raise CommandError(f"{name!r} is no player and no digest of a network")
        if model_store.is_file(name) and _is_missing(name):
            forms = "a tier D1 to D10, a harness, `current`, a digest or a file"
            raise CommandError(f"{name!r} is no player and no file: give {forms}")
        if self._log is None and not model_store.is_file(name):
            raise CommandError(f"{name} is no file, and without a log there are no stored networks")
        digest, data = await model_store.found(name, self._log)
        model = self._kept.get((digest, config.key))
        if model is None:
            model = await asyncio.to_thread(_load, data, digest, config.key)
        self._kept[digest, config.key] = model
        while len(self._kept) > NETWORKS_MAX:
            self._kept.popitem(last=False)
        return digest, model

    async def current(self, config: Config) -> str | None:
        """Return the digest of the incumbent of a config, None without one or without a log."""
        if self._log is None:
            return None
        promoted = await read.latest(self._log, facts.ModelPromoted, scope=config.key)
        returned = await read.latest(self._log, facts.ModelRolledBack, scope=config.key)
        known = [(found.meta.seq, found.event.current) for found in (promoted, returned) if found]
        return max(known)[1] if known else None

    def clear(self) -> None:
        """Forget all networks."""
        self._kept.clear()


def _is_missing(name: str) -> bool:
    return not Path(name).is_file()


def _load(data: bytes, digest: str, config: str) -> Model:
    from ringrift.learning.models import model_of

    return model_of(data, digest=digest, config=config, threads=threads())
