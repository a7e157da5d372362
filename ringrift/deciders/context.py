"""The context of a fact: its place in the log, and the settings and pauses that were in force."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from msgspec import Struct

from ringrift.events import EventMeta, Fact, Settings, facts as f

STEERING: tuple[type[Fact], ...] = (f.SettingsChanged, f.PipelinePaused, f.PipelineResumed)
"""facts that change the context of every decider"""


class Pauses(Struct, frozen=True):
    """Pairs (scope, kind) that are paused; scope is a config or `all`."""

    paused: tuple[tuple[str, str], ...] = ()

    def after(self, fact: f.PipelinePaused | f.PipelineResumed) -> Pauses:
        """Pauses once `fact` has happened; resuming what is not paused changes nothing."""
        pair = (fact.scope, fact.kind)
        others = tuple(item for item in self.paused if item != pair)
        return Pauses((*others, pair) if isinstance(fact, f.PipelinePaused) else others)

    def stops(self, config: str, kind: str) -> bool:
        """Whether new work of `kind` for `config` must not be planned."""
        return bool(self.paused) and any(
            scope in (config, "all") and what in (kind, "all") for scope, what in self.paused
        )


class InForce(Struct, frozen=True):
    """The controls of operators: the newest settings, their version, and the pauses."""

    settings: Settings = Settings(configs=())
    settings_version: int = 0
    pauses: Pauses = Pauses()

    def after(self, fact: Fact) -> InForce:
        """The controls in force once `fact` is recorded."""
        if isinstance(fact, f.SettingsChanged):
            return InForce(fact.settings, fact.version, self.pauses)
        if isinstance(fact, f.PipelinePaused | f.PipelineResumed):
            return InForce(self.settings, self.settings_version, self.pauses.after(fact))
        return self


class Basis(TypedDict):
    """Fields of every `ConfigDecision`."""

    config: str
    settings_version: int


class Context(Struct, frozen=True, gc=False):
    """The circumstances of a fact: its place in `EVENTS`, time, cause, author and id, and the
    controls in force."""

    seq: int
    time: datetime
    cause: str | None
    author: str
    id: str
    settings: Settings
    settings_version: int
    pauses: Pauses

    @classmethod
    def of(
        cls,
        meta: EventMeta,
        in_force: InForce = InForce(),  # noqa: B008
        cause: EventMeta | None = None,
    ) -> Context:
        """The context of a stored event while this was in force; that of a decision has the time of
        its cause."""
        controls = (in_force.settings, in_force.settings_version, in_force.pauses)
        time = (cause or meta).time
        return cls(meta.seq, time, meta.cause, meta.source, meta.id, *controls)

    @property
    def position(self) -> str:
        """`EVENTS/<sequence>`, by which a later event names this one as its cause."""
        return f"EVENTS/{self.seq}"

    def basis(self, config: str) -> Basis:
        """A config, and the settings that a decision about it is taken under."""
        return Basis(config=config, settings_version=self.settings_version)
