"""Who plays against the current network in self-play? The newest earlier incumbents, by the same
search, and after three of them the heuristic by another one: a network that only meets itself does
not learn to answer what it never plays."""

from __future__ import annotations

from ringrift.deciders.kit import Fold, Struct, replace
from ringrift.events import facts as f
from ringrift.events.participants import POSITIONS_A_SIMULATION, kind_of, network_seat, seat
from ringrift.events.settings import SelfplaySettings

PAST_MAX = 3
"""earlier incumbents that play"""
KNOWN_MAX = 16
"""networks whose architecture is remembered besides those that play"""


class Opponents(Struct, frozen=True, kw_only=True):
    """The incumbent of a config and those before it, the newest last, with the architectures of
    these and of the newest networks."""

    current: str | None = None
    past: tuple[str, ...] = ()
    architectures: dict[str, str] = {}

    def seats(
        self,
        config: str,
        model: str | None,
        simulations: int,
        settings: SelfplaySettings,
        noise_plies: int | None,
    ) -> tuple[f.Seat, ...]:
        """The opponents of the network that plays, if it is the incumbent."""
        if model is None or model != self.current or not settings.past_share:
            return ()
        seats, found = f.seats_of(config), []
        options = {
            "considered": settings.considered,
            "noise_plies": settings.noise_plies if noise_plies is None else noise_plies,
        }
        for past in self.past:
            kind = kind_of(self.architectures.get(past, ""))
            found.append(network_seat(past, simulations, kind=kind, seats=seats, **options))
        if len(found) == PAST_MAX:
            harness = "minimax" if seats == 2 else "maxn"
            found.append(seat(harness, simulations=simulations * POSITIONS_A_SIMULATION))
        return tuple(found)


OPPONENTS = Fold(Opponents)


@OPPONENTS.evolves
def registered(item: Opponents, fact: f.ModelRegistered | f.ModelAdopted) -> Opponents:
    known = {**item.architectures, fact.model: fact.architecture}
    needed = {*item.past, item.current, *list(known)[-KNOWN_MAX:]}
    return replace(item, architectures={name: known[name] for name in known if name in needed})


@OPPONENTS.evolves
def became_current(item: Opponents, fact: f.IncumbentChanged) -> Opponents:
    past = (*item.past, item.current) if item.current else item.past
    if isinstance(fact, f.ModelRolledBack):
        past = tuple(model for model in past if model != fact.model)  # it was a regression
    past = tuple(dict.fromkeys(model for model in past if model != fact.current))
    return replace(item, current=fact.current, past=past[-PAST_MAX:])
