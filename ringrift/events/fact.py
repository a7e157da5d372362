"""The base class of facts. The class of a fact declares its subject, stream, version and retention:

    class TrainingRequested(ConfigDecision, subject="training.{config}.requested"):
        generation: Positive

These keywords become its `EventType`. All facts are frozen, keyword-only and refuse unknown
fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast, dataclass_transform

import msgspec
from msgspec import Struct, StructMeta

StreamName = Literal["GAMES", "EVENTS"]
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class EventType(Struct, frozen=True, kw_only=True):
    """The declaration of one event type.

    Subjects are `ringrift.<context>.<scope>.<word>`. `scope` is the name of the field that holds
    the token, or `all`; `word` is the event's name in lower case with hyphens, without the context
    if the name begins with it. `upcasters[v]` turns the data of version v into version v + 1.
    `for_people`: no process reads it, only people do."""

    fact_type: type[Fact]
    context: str
    scope: str
    word: str
    stream: StreamName = "EVENTS"
    version: int = 1
    upcasters: dict[int, Upcaster] = {}
    for_people: bool = False

    @property
    def name(self) -> str:
        """Name without version, such as `GameCompleted`."""
        return self.fact_type.__name__

    @property
    def wire_name(self) -> str:
        """`type` attribute of the envelope, such as `ringrift.GameCompleted.v1`."""
        return f"ringrift.{self.name}.v{self.version}"

    @property
    def summary(self) -> str:
        """First paragraph of the fact's docstring, on one line."""
        return " ".join((self.fact_type.__doc__ or "").split("\n\n")[0].split())

    @property
    def subject_filter(self) -> str:
        """Filter that matches the events of this type in every scope."""
        return self.filter("*")

    def filter(self, scope: str) -> str:
        """Subject of the events of this type in one scope: a config, a node, `all`, ..."""
        return f"ringrift.{self.context}.{scope}.{self.word}"

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Stream, beginning of the subject, field of the scope, and end of the subject; the whole
        subject and two empty texts if the scope is `all`."""
        if self.scope == "all":
            return self.stream, self.filter("all"), "", ""
        return self.stream, f"ringrift.{self.context}.", self.scope, f".{self.word}"

    def subject(self, event: Fact) -> str:
        """Subject this event is stored under."""
        return self.filter("all" if self.scope == "all" else getattr(event, self.scope))


class FactMeta(StructMeta):
    """Creates the struct of a fact and, from the class keywords, its `event_type`."""

    event_type: EventType

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        ns: dict[str, Any],
        /,
        *,
        subject: str | None = None,
        frozen: bool = True,
        **declared: Any,
    ) -> FactMeta:
        """`subject` lacks the leading `ringrift.`; base classes of facts have none. `declared` are
        further fields of `EventType`. `frozen` is always true: only mypy needs to see it, at
        `Fact`."""
        # without gc: facts form no cycles, and a replay holds many thousands
        fact = super().__new__(
            mcs, name, bases, ns, frozen=frozen, kw_only=True, forbid_unknown_fields=True, gc=False
        )
        if subject is not None:
            context, scope, word = subject.split(".")
            kind, scope = cast("type[Fact]", fact), scope.strip("{}")
            fact.event_type = EventType(
                fact_type=kind, context=context, scope=scope, word=word, **declared
            )
        return fact


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Fact(Struct, metaclass=FactMeta, frozen=True):
    """Base of all facts. The decorator tells mypy the options that the metaclass sets."""
