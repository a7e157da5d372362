"""Circuit breakers: a target that fails repeatedly is not used for a while, then tried with one
probe.

closed --`threshold` failures in a row--> open --a while--> half open --a probe succeeds--> closed
                                           ^------a probe fails, and a longer while------|

The first probe follows within seconds (requirement G17.17); each failed one raises the breaker to
the next tier (requirement G17.13) of the setting `operation.breaker_waits`.

An open breaker is a key of the bucket `breakers`: all processes see the same one, and it expires
with the key after 6 h (requirement G17.15). Targets are tokens: `node-<name>` is a quarantined
node, any other an external receiver or service."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events.settings import OperationSettings

PROBE_SECONDS = 600.0
"""a probe without a result after this time has died; the next may be made"""


class Breaker(Struct, frozen=True, kw_only=True):
    """One target. Times are seconds since 1970; `until` is when an open breaker may be probed, or
    a probe expires."""

    failures: int = 0
    state: Literal["closed", "open", "probing"] = "closed"
    until: float = 0.0
    why: str = ""
    tier: int = 0
    """failed probes, at most one less than there are waits"""

    def allows(self, now: float) -> bool:
        """Whether the target may be used now: closed, or due for a probe."""
        return self.state == "closed" or now >= self.until

    def probed(self, now: float) -> Breaker:
        """The breaker while one process probes the target."""
        return replace(self, state="probing", until=now + PROBE_SECONDS)

    def failed(self, now: float, threshold: int, why: str, waits: tuple[float, ...]) -> Breaker:
        """After one more failure: open at the threshold, and one tier higher if the probe failed.
        Work that began before it opened says nothing new."""
        count = self.failures + 1
        early = self.state == "open" and now < self.until
        if early or (self.state == "closed" and count < threshold):
            return replace(self, failures=count, why=why)
        tier = min(self.tier + (self.state != "closed"), len(waits) - 1)
        until = now + waits[tier]
        return Breaker(failures=count, state="open", until=until, why=why, tier=tier)


def threshold(sick: float, settings: OperationSettings) -> int:
    """Failures in a row that open a breaker while this share of the targets, 0 to 1, is broken:
    more if more are, so that not all open at once (requirement G17.14)."""
    low, high = settings.breaker_failures_min, settings.breaker_failures_max
    return round(low + (high - low) * min(max(sick, 0.0), 1.0))


def node_target(node: str) -> str:
    """The target of a node."""
    return f"node-{node}"[:64]
