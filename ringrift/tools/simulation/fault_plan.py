"""What goes wrong and when, as TOML: `[[fault]]` tables (see `ops/faults.toml`).

nodes      the nodes whose name begins with `name` are gone (all without a name) coordinator      no
decider runs; when they come back they rebuild from the log queue      the tickets that nobody holds
are lost, once training   every training of `config` fails (of all configs without) data
self-play of `config` is poor: undecided games that all open alike, a third of which does not replay
loss       the trainings of `config` end with three times the loss regression the networks that
`config` trains beat the current one and are weaker than it against everybody else slow       every
node plays at half speed"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from ringrift.tools.simulation.errors import SimulationError

What = Literal["nodes", "coordinator", "queue", "training", "data", "loss", "regression", "slow"]
PositiveHours = Annotated[float, Meta(ge=0.0)]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong, from `at_hours` for `hours` of virtual time."""

    what: What
    at_hours: PositiveHours
    hours: PositiveHours = 1.0
    config: str | None = None
    name: str = ""

    def on(self, seconds: float) -> bool:
        """Whether it lasts so many seconds after the start."""
        return self.at_hours * 3600.0 <= seconds < (self.at_hours + self.hours) * 3600.0

    @property
    def title(self) -> str:
        """In a few words."""
        about = self.config or self.name
        return (
            f"{self.what}{f' {about}' if about else ''} at {self.at_hours:g} h for {self.hours:g} h"
        )


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fault: tuple[Fault, ...] = ()


def read_faults(path: Path) -> tuple[Fault, ...]:
    """The faults of a plan. Raises SimulationError."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_File).fault
    except OSError as error:
        raise SimulationError(f"plan of faults {path}: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise SimulationError(f"plan of faults {path}: {error}") from error
