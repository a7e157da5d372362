"""When the values that a person compares changed: each by config, with the events that changed it,
so that any two times are compared without folding the log."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ringrift.deciders.fleet.troubles import RULES_OF
from ringrift.events import Fact, facts as f
from ringrift.insight.elo import elo_text
from ringrift.web.fold import Fold
from ringrift.web.rendering import digest, minus, whole

CAUSES_SHOWN = 3
ALL = "all"
Kinds = tuple[type[Fact], ...]
TURNS: Kinds = (f.ModelPromoted, f.PromotionRejected, f.ModelRolledBack)


def _paused(fold: Fold, scope: str) -> str:
    return ", ".join(one for one in sorted(fold.loop.paused) if one.split("/")[0] == scope)


def _elo(fold: Fold, config: str) -> str:
    item = fold.loop.of(config)
    rating = item.rating_of(item.current)
    return minus(elo_text(rating)) if rating else ""


def _troubles(fold: Fold, _: str) -> str:
    return "; ".join(f"{one.scope}: {one.name}" for one in fold.loop.troubles.in_force())


def _loss(fold: Fold, config: str) -> str:
    lowest = fold.pace(config).lowest_loss
    return "" if lowest is None else f"{lowest:.3f}"


Read = Callable[[Fold, str], object]


class Value(NamedTuple):
    """A value of a fold and a scope, which facts of some types may change."""

    what: str
    read: Read
    kinds: Kinds


def _item(name: str) -> Read:
    """A field of the view of a config."""
    return lambda fold, config: getattr(fold.loop.of(config), name)


STEPS: Kinds = (f.SelfplayPlanned, f.SelfplayFinished, f.TrainingRequested, f.TrainingFinished)
STEPS += (f.TrainingFailed, f.TrainingTimedOut, f.ModelRegistered, f.EvaluationFailed)
STEPS += (f.EvaluationScored, f.EvaluationAbandoned, *TURNS)
OF_CONFIG = (
    Value("doing", _item("doing"), STEPS),
    Value("games of self-play", _item("games"), (f.SelfplayFinished,)),
    Value("samples", _item("samples"), (f.ShardExported,)),
    Value("networks", lambda fold, config: len(fold.models.get(config, ())), (f.ModelRegistered,)),
    Value("lowest loss", _loss, (f.TrainingFinished,)),
    Value("games of matches", _item("evaluation_games"), (f.EvaluationScored,)),
    Value("generations judged", _item("judged"), TURNS),
    Value("current network", lambda fold, config: digest(fold.loop.of(config).current), TURNS),
    Value("Elo of the current network", _elo, (*TURNS, f.RatingsUpdated)),
    Value("games retracted", _item("retracted"), (f.GamesRetracted,)),
)
PAUSED = Value("paused", _paused, (f.PipelinePaused, f.PipelineResumed))
OF_ALL = (
    Value(
        "version of the settings",
        lambda fold, _: fold.in_force.settings_version,
        (f.SettingsChanged,),
    ),
    Value(
        "dead letters",
        lambda fold, _: len(fold.states["dead-letters"].unresolved),
        (f.DeadLetterStored, f.DeadLetterResolved),
    ),
    Value("failures and setbacks", _troubles, tuple(RULES_OF)),
)


def _by_kind(values: tuple[Value, ...]) -> dict[type[Fact], list[Value]]:
    kinds = {kind for value in values for kind in value.kinds}
    return {kind: [value for value in values if kind in value.kinds] for kind in kinds}


_OF_CONFIG, _OF_ALL = _by_kind(OF_CONFIG), _by_kind(OF_ALL)


class Changes:
    """The changes of one value: after each of the events, what it was."""

    def __init__(self) -> None:
        self.seqs, self.values = array("Q"), list[object]()

    def at(self, seq: int) -> object:
        """Return the value after an event, None if there was none yet."""
        place = bisect_right(self.seqs, seq)
        return self.values[place - 1] if place else None


class Difference(NamedTuple):
    """What is different: then and now, and the newest of the `events` that changed it."""

    what: str
    before: str
    after: str
    causes: list[int]
    events: int


class History:
    """The changes of every value, by scope (a config, or `all`) and name."""

    def __init__(self) -> None:
        self.scopes: dict[str, dict[str, Changes]] = {}

    def take(self, event: Fact, fold: Fold) -> None:
        """Note what an event changed; `fold` is as it is after the event."""
        kind = type(event)
        if isinstance(event, f.ConfigFact):
            for value in _OF_CONFIG.get(kind, ()):
                self._note(value, event.config, fold)
        for value in _OF_ALL.get(kind, ()):
            self._note(value, ALL, fold)
        if isinstance(event, f.PipelinePaused | f.PipelineResumed):
            self._note(PAUSED, event.scope, fold)

    def _note(self, value: Value, scope: str, fold: Fold) -> None:
        now = value.read(fold, scope)
        changes = self.scopes.setdefault(scope, {}).setdefault(value.what, Changes())
        if not changes.values or changes.values[-1] != now:
            changes.seqs.append(fold.seq)
            changes.values.append(now)

    def since(self, seq: int) -> Iterator[tuple[str, list[Difference]]]:
        """Yield what is different now from what it was after an event, by scope, `all` last."""
        for scope in sorted(self.scopes, key=lambda scope: scope == ALL):
            yield scope, [*_differences(self.scopes[scope], seq)]


def _differences(known: dict[str, Changes], seq: int) -> Iterator[Difference]:
    for what, changes in known.items():
        before, after = _text(changes.at(seq)), _text(changes.values[-1])
        if before != after:
            events = len(changes.seqs) - bisect_right(changes.seqs, seq)
            causes = changes.seqs[-min(events, CAUSES_SHOWN) :].tolist()
            yield Difference(what, before, after, causes, events)


def _text(value: object) -> str:
    return "" if value is None else whole(value) if isinstance(value, int) else str(value)
