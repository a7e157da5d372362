"""Circuit breakers: a target that fails repeatedly is not used for a while, then tried with one
probe.

closed --`threshold` failures in a row--> open --`COOLDOWN_SECONDS`--> half open --a probe
succeeds--> closed
                                           ^-------------------a probe fails------------|

An open breaker is a key of the bucket `breakers`: all processes see the same one, and it expires
with the key after 6 h (requirement G17.15). Targets are tokens: `node-<name>` is a quarantined
node."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

THRESHOLD_MIN, THRESHOLD_MAX = 10, 20
"""failures in a row that open a breaker (requirement G17.14): more if more targets are broken, so
that not all breakers open at once"""
COOLDOWN_SECONDS = 180.0
"""requirement G17.17: the breaker's timeout"""
PROBE_SECONDS = 600.0
"""a probe without a result after this time has died; the next may be made"""


class Breaker(Struct, frozen=True, kw_only=True):
    """One target. Times are seconds since 1970; `until` is when an open breaker may be probed, or
    a probe expires."""

    failures: int = 0
    state: Literal["closed", "open", "probing"] = "closed"
    until: float = 0.0
    why: str = ""

    def allows(self, now: float) -> bool:
        """Whether the target may be used now: closed, or due for a probe."""
        return self.state == "closed" or now >= self.until

    def probed(self, now: float) -> Breaker:
        """The breaker while one process probes the target."""
        return replace(self, state="probing", until=now + PROBE_SECONDS)

    def failed(self, now: float, threshold: int, why: str) -> Breaker:
        """After one more failure: open at the threshold, or if the probe failed."""
        count = self.failures + 1
        if self.state == "closed" and count < threshold:
            return replace(self, failures=count, why=why)
        return Breaker(failures=count, state="open", until=now + COOLDOWN_SECONDS, why=why)


def threshold(sick: float) -> int:
    """Failures in a row that open a breaker while this share of the targets, 0 to 1, is broken."""
    return round(THRESHOLD_MIN + (THRESHOLD_MAX - THRESHOLD_MIN) * min(max(sick, 0.0), 1.0))


def node_target(node: str) -> str:
    """The target of a node."""
    return f"node-{node}"[:64]
