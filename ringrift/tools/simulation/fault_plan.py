"""Faults and their times, as TOML: `[[fault]]` tables (see `ops/faults.toml`).

nodes        the nodes whose name begins with `name` (all without a name) are lost
coordinator  no decider runs; afterwards they rebuild from the log
queue        the tickets that no worker holds are lost, once
training     every training of `config` (of all configs without) fails
data         self-play of `config` is poor: undecided games with few openings, a third of which
             does not replay
loss         the trainings of `config` end with three times the loss
regression   the networks that `config` trains beat the incumbent, and no other opponent
slow         every node plays at half speed
liars        the nodes whose name begins with `name` forge `share` of their games; an auditor looks
             at all nodes
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from ringrift.errors import CommandError

What = Literal[
    "nodes", "coordinator", "queue", "training", "data", "loss", "regression", "slow", "liars"
]
PositiveHours = Annotated[float, Meta(ge=0.0)]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong, from `at_hours` for `hours` of virtual time."""

    what: What
    at_hours: PositiveHours
    hours: PositiveHours = 1.0
    config: str | None = None
    name: str = ""
    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.05

    def on(self, seconds: float) -> bool:
        """Whether it lasts at this time after the start."""
        return self.at_hours * 3600.0 <= seconds < (self.at_hours + self.hours) * 3600.0

    @property
    def title(self) -> str:
        """A short description."""
        about = self.config or self.name
        return (
            f"{self.what}{f' {about}' if about else ''} at {self.at_hours:g} h for {self.hours:g} h"
        )


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fault: tuple[Fault, ...] = ()


def read_faults(path: Path | None, configs: Sequence[str]) -> tuple[Fault, ...]:
    """The faults of a plan file, none without a file. Raises CommandError for a file that cannot be
    read, or a fault of a config that is not among `configs`."""
    if path is None:
        return ()
    try:
        faults = msgspec.toml.decode(path.read_bytes(), type=_File).fault
    except OSError as error:
        raise CommandError(f"fault plan {path}: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise CommandError(f"fault plan {path}: {error}") from error
    if unknown := sorted({fault.config for fault in faults if fault.config} - set(configs)):
        names = f"{', '.join(unknown)} is not switched on; name one of {', '.join(configs)}"
        raise CommandError(f"fault plan {path}: {names}")
    return faults
