"""Deciders: pure functions from recorded facts to decisions.

A decider is declared by its name, the type of its state, and handlers:

    DECIDER = Decider("exploration", Configs[Exploration])

    @DECIDER.evolves
    def paced(item: Exploration, fact: f.VelocityChanged) -> Exploration: ...

    @DECIDER.decides
    def boost(
        item: Exploration, fact: f.PlateauDetected, context: Context
    ) -> Iterator[f.ExplorationAdjusted]: ...

    DECIDER.keeps(f.ExplorationAdjusted, boost=lambda fact: fact.boost)

The annotations say which facts a handler takes, a union for several and `Fact` for all of `EVENTS`;
what the decider reads and writes is derived from them. A handler takes the whole state, or the item
of the config that the fact names. The context may be left out. Handlers of one fact run in the
order in which they are defined. A `decides` handler without a fact runs after every fact that the
decider reads.

`EVENTS` is folded in the order of the log, with one exception: a decider's own decisions are folded
right after the event that caused them, wherever they are stored in the log. The state in which a
decision was taken is therefore a function of the log, and every decision can be derived again from
its cause. `ringrift.runtime.decide.DeciderRun` implements this order.

A handler that raises is skipped with its fact: the state stays as it was, and nothing is decided.
That is a function of the log too, so every reader of it gets the same states.

States are msgspec Structs, so that they can be stored in snapshots and compared by digest. `Struct`
and `replace` can be imported from here.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Struct as Struct
from msgspec.structs import fields as fields_of, replace as replace

from ringrift.deciders.context import STEERING as STEERING, Context as Context
from ringrift.events import REGISTRY, Fact, lawful
from ringrift.events.facts.vocabulary import COUNT_MAX

State = TypeVar("State")
Key = TypeVar("Key")
Item = TypeVar("Item", bound=Struct)
AnyFact = TypeVar("AnyFact", bound=Fact)
Handler = TypeVar("Handler", bound=Callable[..., Any])
Evolve = Callable[[Any, Any, "Context"], Any]
Decide = Callable[[Any, Any, "Context"], Iterable[Fact]]
Kinds = tuple[type[Fact], ...]

TICK_SECONDS_MAX = 300.0
"""a longer gap between two ticks counts as this: no coordinator ran meanwhile"""


Failed = Callable[[Exception], None]
"""receives what a handler raised"""


def ignored(error: Exception) -> None:
    """The error was reported where the fact was met first."""


class Configs(Struct, Generic[Item], frozen=True, kw_only=True):
    """A state with one item for each config that it has met, in the order of their first facts."""

    configs: dict[str, Item] = {}


class Fold(Generic[State]):
    """How facts change a value, by a handler for each type of fact.

    By itself a fold is a part of the items of a decider, in a file of its own or shared by several
    deciders: `Decider("training", Trainings, parts=(PROGRESS, ...))` keeps a `Progress` in the
    field of that type."""

    def __init__(self, value: type[State]) -> None:
        self.state = value
        self._item: Any = None
        self._evolves: dict[type[Fact], list[tuple[bool, Evolve]]] = {}

    def evolves(self, handler: Handler) -> Handler:
        """Register a handler that returns the value, or the item, after a fact."""
        of_item, kinds, call = self._read(handler)
        for kind in kinds:
            self._evolves.setdefault(kind, []).append((of_item, call))
        return handler

    def keeps(self, kind: type[AnyFact], **fields: Callable[[AnyFact], object]) -> None:
        """Facts of this kind set these fields of the item, or else of the state."""
        owners = filter(None, (self._item, self.state))
        names = ((one, {field.name for field in fields_of(one)}) for one in owners)
        owner = next((one for one, known in names if fields.keys() <= known), None)
        if owner is None:
            raise TypeError(f"{self.state} does not have the fields {', '.join(fields)}")

        def evolve(value: Any, fact: AnyFact, context: Context) -> Any:
            return replace(value, **{name: read(fact) for name, read in fields.items()})

        self._evolves.setdefault(kind, []).append((owner is self._item, evolve))

    def initial(self) -> State:
        """Value before the first fact."""
        return self.state()

    def _read(self, handler: Callable[..., Any]) -> tuple[bool, Kinds, Evolve]:
        """Whether the handler takes an item, the types of its fact, and the handler called with a
        context."""
        names, hints = list(inspect.signature(handler).parameters), get_type_hints(handler)
        first = hints.get(names[0])
        if first not in (self.state, self._item):
            raise TypeError(f"{handler.__qualname__} takes {first}, not the state {self.state}")
        if "fact" not in names:
            return False, (), lambda state, fact, context: handler(state, context)
        kinds = _kinds(hints["fact"])
        if "context" in names:
            return first is self._item, kinds, handler
        return first is self._item, kinds, lambda state, fact, context: handler(state, fact)


class Decider(Fold[State]):
    """One subject: how facts change its state, and what it decides.

    `parts` are folds of fields of the items. `wakes` are facts that change only the context, after
    which the handlers without a fact still decide; after those of `quiet` they do not."""

    def __init__(
        self,
        name: str,
        state: type[State],
        *,
        parts: tuple[Fold[Any], ...] = (),
        wakes: Kinds = (),
        quiet: Kinds = (),
    ) -> None:
        super().__init__(state)
        self.name, self.wakes, self._quiet = name, wakes, quiet
        self._item = _item_of(state)
        self._decides: dict[type[Fact], list[Decide]] = {}
        self._decides_always: list[Decide] = []
        self._writes: dict[type[Fact], None] = {}
        for part in parts:
            for kind, handlers in part._evolves.items():
                found = [(True, _evolve_part(call, part, self._item)) for _, call in handlers]
                self._evolves.setdefault(kind, []).extend(found)

    def decides(self, handler: Handler) -> Handler:
        """Register a handler that yields the decisions after a fact."""
        of_item, kinds, call = self._read(handler)
        decide = _decide_item(call, self._item) if of_item else call
        for kind in kinds:
            self._decides.setdefault(kind, []).append(decide)
        if not kinds:
            self._decides_always.append(decide)
        (written,) = get_args(get_type_hints(handler)["return"])
        self._writes |= dict.fromkeys(_kinds(written))
        return handler

    def but(self, decide: Decide) -> Decider[State]:
        """A copy of this decider that decides otherwise, to try a policy on recorded history."""
        other = copy.copy(self)
        other.wakes, other._decides, other._decides_always = self.reads, {}, [decide]
        other._quiet = ()
        vars(other).pop("_deciding", None)
        return other

    def evolve(self, state: State, fact: Fact, context: Context, failed: Failed = ignored) -> State:
        """State after one more fact; the same state if a handler raises."""
        try:
            after = state
            for handler in self._evolving.get(type(fact), ()):
                after = handler(after, fact, context)
            return after
        except MemoryError:  # this machine's, not the fact's
            raise
        except Exception as error:  # noqa: BLE001  every reader of the log must skip the fact alike
            failed(error)
            return state

    def decide(
        self, state: State, fact: Fact, context: Context, failed: Failed = ignored
    ) -> tuple[Fact, ...]:
        """Decisions in the state after `fact`; none if a handler raises or one is unlawful."""
        handlers = self._deciding.get(type(fact), ())
        try:
            found = tuple(one for handler in handlers for one in handler(state, fact, context))
            for decision in found:
                lawful(decision)
            return found
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001
            failed(error)
            return ()

    @cached_property
    def writes(self) -> Kinds:
        """Types of its decisions."""
        return tuple(self._writes)

    @cached_property
    def reads(self) -> Kinds:
        """Types of the facts that it folds or decides on, but for its own decisions."""
        kinds = dict.fromkeys((*self.wakes, *self._evolves, *self._decides))
        return tuple(kind for kind in kinds if kind not in self._writes)

    @cached_property
    def _evolving(self) -> dict[type[Fact], list[Evolve]]:
        """Handlers of each fact; those of the item in a row are called together."""
        found: dict[type[Fact], list[Evolve]] = {}
        for kind, handlers in self._evolves.items():
            for of_item, group in groupby(handlers, key=itemgetter(0)):
                calls = [call for _, call in group]
                together = [_evolve_item(calls, self._item)] if of_item else calls
                found.setdefault(kind, []).extend(together)
        return found

    @cached_property
    def _deciding(self) -> dict[type[Fact], tuple[Decide, ...]]:
        kinds = (*self.reads, *self.writes)
        always = {kind: () if kind in self._quiet else self._decides_always for kind in kinds}
        return {kind: (*always[kind], *self._decides.get(kind, ())) for kind in kinds}


def _item_of(state: Any) -> Any:
    """Type of the items of a state that is a `Configs`, else None."""
    aliases = (state, *getattr(state, "__orig_bases__", ()))
    return next((get_args(one)[0] for one in aliases if get_origin(one) is Configs), None)


def _kinds(annotation: Any) -> Kinds:
    if annotation is Fact:
        return tuple(kind.fact_type for kind in REGISTRY.values() if kind.stream == "EVENTS")
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def _evolve_item(handlers: list[Evolve], item_type: Any) -> Evolve:
    unseen = item_type()

    def evolve(state: Any, fact: Any, context: Context) -> Any:
        before = item = state.configs.get(fact.config, unseen)
        for handler in handlers:
            item = handler(item, fact, context)
        if item is before:
            return state
        return replace(state, configs={**state.configs, fact.config: item})

    return evolve


def _evolve_part(handler: Evolve, part: Fold[Any], item_type: Any) -> Evolve:
    (name,) = (key for key, kind in get_type_hints(item_type).items() if kind is part.state)

    def evolve(item: Any, fact: Any, context: Context) -> Any:
        before = getattr(item, name)
        value = handler(before, fact, context)
        return item if value is before else replace(item, **{name: value})

    return evolve


def _decide_item(handler: Decide, item_type: Any) -> Decide:
    unseen = item_type()

    def decide(state: Any, fact: Any, context: Context) -> Iterable[Fact]:
        return handler(state.configs.get(fact.config, unseen), fact, context)

    return decide


def changed(items: dict[Key, Item], key: Key, **changes: object) -> dict[Key, Item]:
    """`items` with these changes to the one under `key`; unchanged if `key` is unknown."""
    return items if key not in items else {**items, key: replace(items[key], **changes)}


def tick_seconds(before: datetime | None, now: datetime) -> float:
    """Recorded time between two ticks, at most `TICK_SECONDS_MAX`; 0 at the first one."""
    passed = (now - before).total_seconds() if before else 0.0
    return min(max(passed, 0.0), TICK_SECONDS_MAX)


TICKETS_MAX = 64
"""of a config, whose outcome is remembered; a worker that was frozen may write one again"""


def noted(tickets: tuple[str, ...], ticket: str) -> tuple[str, ...]:
    """The newest tickets with an outcome, and one more. An outcome counts once."""
    return (*tickets, ticket)[-TICKETS_MAX:]


SEED_BITS = 48  # exact in JSON readers that hold numbers as doubles


def successor(number: int) -> int:
    """The next number; the largest one that facts hold has itself as its successor."""
    return min(number + 1, COUNT_MAX)


def seed_from(*parts: object) -> int:
    """A seed derived from its purpose: the first 48 bits of SHA-256 over the parts."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: SEED_BITS // 8])
