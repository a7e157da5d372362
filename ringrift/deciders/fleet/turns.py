"""Whose turn is it? Configs share the workers of one kind of tickets by seconds, not by tickets
(self-clocked fair queueing, Golestani 1994).

The oldest ticket of each config has a finish tag: the time at which its predicted seconds would be
worked off if the config had its share of a worker all the time. The smallest tag goes next, so that
a short ticket does not wait for a long one, until its config has used up its share. Between two
configs that both have tickets waiting, the seconds handed out, divided by the shares, differ by at
most the longest ticket of each; a ticket of `s` seconds waits for at most `s / share` seconds of
other work and one more ticket of each other config."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

SHARE_MIN = 0.01
"""of a config, so that every ticket has its turn"""


class Charge(Struct, frozen=True):
    """The predicted seconds of a ticket, and the share of its config."""

    config: str
    seconds: float
    share: float


class Turns:
    """The waiting tickets of one kind, by config."""

    def __init__(self) -> None:
        self.virtual = 0.0
        """the largest finish tag of a ticket that was taken"""
        self._waiting: dict[str, dict[str, None]] = {}
        self._starts: dict[str, float] = {}
        self._charges: dict[str, Charge] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def join(self, config: str, ticket: str) -> None:
        """Add a ticket behind those of its config."""
        queue = self._waiting.setdefault(config, {})
        if not queue:
            self._catch_up(config)
        queue[ticket] = None

    def take(
        self,
        seconds: Callable[[str], float],
        share: Callable[[str], float],
        may: Callable[[str], bool] = lambda config: True,
    ) -> str | None:
        """Remove and return the next ticket; None if there is none. `seconds` predicts that of a
        ticket, `share` is that of a config. A config that may not be served misses its turns."""
        found: tuple[float, str, Charge] | None = None
        for config, queue in self._waiting.items():
            if not queue:
                continue
            if not may(config):
                self._catch_up(config)
                continue
            ticket = next(iter(queue))
            charge = Charge(config, seconds(ticket), max(share(config), SHARE_MIN))
            finish = self._starts[config] + charge.seconds / charge.share
            if found is None or finish < found[0]:
                found = finish, ticket, charge
        if found is None:
            return None
        finish, ticket, charge = found
        self._waiting[charge.config].pop(ticket)
        self.virtual, self._starts[charge.config] = max(self.virtual, finish), finish
        self._charges[ticket] = charge
        return ticket

    def leave(self, config: str, ticket: str) -> None:
        """Remove a ticket that needs no turn any more."""
        self._waiting.get(config, {}).pop(ticket, None)

    def settle(self, ticket: str, seconds: float) -> None:
        """Charge for the seconds that a ticket took instead of those that were predicted."""
        if charge := self._charges.pop(ticket, None):
            self._starts[charge.config] += (seconds - charge.seconds) / charge.share

    def _catch_up(self, config: str) -> None:
        """What a config did not ask for is not owed to it."""
        self._starts[config] = max(self.virtual, self._starts.get(config, 0.0))
