"""What needs a person? A failure or an observation that has lasted for a minute, a setback that has
lasted for hours (`ringrift.deciders.fleet.troubles` has the rules), dead letters that no retry will
resolve, a pause that lasts, cores that wait for work while there is something to learn, and 5,000
games of a config without a network above the heuristic.

An alert is raised once and cleared once. Time comes with every event, so any fact moves the clock;
a recorded tick does so in a quiet log."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.fleet.troubles import RULES_OF
from ringrift.deciders.kit import Context, Decider, Struct, changed, replace
from ringrift.events import facts as f
from ringrift.events.settings import AlertSettings

CONDITIONS_MAX = 1_000
"""conditions in the state; any more are shown by `ringrift status` only"""
LETTERS_MAX = 1_000
TEXT_CHARS_MAX = 1_000
BASELINE_GAMES = 5_000
"""games after which a network should beat the heuristic (requirements G08.26 and G10.10)"""
NO_TICKET = "a-ticket"
"""what cores wait for when there is no work (`UtilisationSampled`)"""
IDLE_WEIGHT = 0.1
"""of the newest sample, which comes every minute: the last ten count most"""
Key = tuple[str, str, str]
"""alert, scope, item; joined by spaces in the state"""


class Condition(Struct, frozen=True, kw_only=True):
    """A condition in force, or `over` and still to be cleared."""

    alert: str
    scope: str
    item: str
    severity: f.AlertSeverity
    patient: bool
    """whether it is an alert only after `setback_seconds`"""
    text: str
    since: datetime
    ends: datetime | None = None
    over: bool = False
    raised: bool = False


class Baseline(Struct, frozen=True, kw_only=True):
    """Games of a config in shards, up to a sequence of `GAMES`, and the Elo of its newest network
    above the heuristic; None before the first promotion."""

    last_seq: int = 0
    games: int = 0
    above: float | None = None


class Alerts(Struct, frozen=True, kw_only=True):
    """Conditions by alert, scope and item, the dead letters that need a person, and each
    config."""

    conditions: dict[str, Condition] = {}
    letters: tuple[str, ...] = ()
    configs: dict[str, Baseline] = {}
    judged: dict[str, int] = {}
    """newest generation with a verdict, by config"""
    idle: float = 0.0
    """share of the cores that waited for a ticket, in the last samples"""


DECIDER = Decider("alerts", Alerts)


@DECIDER.evolves
def observed(state: Alerts, fact: f.Fact, context: Context) -> Alerts:
    """Begin and end the conditions of the rules."""
    for rule in RULES_OF.get(type(fact), ()):
        key = rule.name.replace(" ", "-"), *rule.key(fact)
        if not rule.starts(fact):
            state = _ended(state, key)
            continue
        ends = context.time + rule.lasts if rule.lasts else None
        patient = not (rule.failure or rule.observed)
        severity: f.AlertSeverity = "critical" if rule.failure else "warning"
        state = _begun(state, key, rule.why(fact), context, severity, patient, ends)
    return state


@DECIDER.evolves
def paused(state: Alerts, fact: f.PipelinePaused, context: Context) -> Alerts:
    text = f"{fact.kind}: {fact.why}; `ringrift resume` ends it"
    return _begun(state, ("paused", fact.scope, fact.kind), text, context, patient=True)


@DECIDER.evolves
def resumed(state: Alerts, fact: f.PipelineResumed) -> Alerts:
    return _ended(state, ("paused", fact.scope, fact.kind))


@DECIDER.evolves
def escalated(state: Alerts, fact: f.DeadLetterEscalated, context: Context) -> Alerts:
    letters = (*state.letters, _letter(fact))[:LETTERS_MAX]
    text = f"{fact.consumer}: {fact.reason}; see `ringrift dlq list`"
    return _begun(replace(state, letters=letters), ("dead-letters", "all", ""), text, context)


@DECIDER.evolves
def resolved(state: Alerts, fact: f.DeadLetterResolved) -> Alerts:
    left = tuple(one for one in state.letters if one != _letter(fact))
    state = replace(state, letters=left)
    return state if left else _ended(state, ("dead-letters", "all", ""))


@DECIDER.evolves
def exported(state: Alerts, fact: f.ShardExported, context: Context) -> Alerts:
    item = state.configs.get(fact.config, Baseline())
    if fact.first_seq <= item.last_seq:  # made again, or for another encoder
        return state
    item = replace(item, last_seq=fact.last_seq, games=item.games + fact.games - fact.imported)
    return _compared(state, fact.config, item, context)


@DECIDER.evolves
def measured(state: Alerts, fact: f.VelocityChanged, context: Context) -> Alerts:
    item = state.configs.get(fact.config, Baseline())
    item = replace(item, above=fact.elo_above_heuristic)
    return _compared(state, fact.config, item, context)


@DECIDER.evolves
def judged(state: Alerts, fact: f.ModelPromoted | f.PromotionRejected) -> Alerts:
    newest = max(fact.generation, state.judged.get(fact.config, 0))
    return replace(state, judged={**state.judged, fact.config: newest})


@DECIDER.evolves
def sampled(state: Alerts, fact: f.UtilisationSampled, context: Context) -> Alerts:
    """Compare what waited for a ticket with the limit; nothing has to work once all is judged."""
    cores = sum(node.cores for node in fact.nodes.values())
    waited = sum(node.waited.get(NO_TICKET, 0.0) for node in fact.nodes.values())
    now = min(waited / (cores * fact.seconds), 1.0) if cores else 0.0
    idle = state.idle + IDLE_WEIGHT * (now - state.idle)
    state, settings = replace(state, idle=idle), context.settings
    wanted = settings.generations or f.COUNT_MAX
    learns = any(state.judged.get(config, 0) < wanted for config in settings.configs)
    if not learns or idle <= 1.0 - settings.alerts.used_min:
        return _ended(state, ("cores-idle", "all", ""))
    text = (
        f"{idle:.0%} of the cores wait for a ticket: `ringrift status` says what configs wait for"
    )
    return _begun(state, ("cores-idle", "all", ""), text, context)


@DECIDER.evolves
def raised(state: Alerts, fact: f.AlertRaised) -> Alerts:
    conditions = changed(state.conditions, name_of(fact), raised=True)
    return replace(state, conditions=conditions)


@DECIDER.evolves
def cleared(state: Alerts, fact: f.AlertCleared) -> Alerts:
    return _without(state, name_of(fact))


@DECIDER.decides
def judge(
    state: Alerts, fact: f.Fact, context: Context
) -> Iterator[f.AlertRaised | f.AlertCleared]:
    """Raise what has lasted for long enough, clear what has ended."""
    for one in state.conditions.values():
        lasted = min(max((context.time - one.since).total_seconds(), 0.0), f.VALUE_MAX)
        over = one.over or (one.ends is not None and context.time >= one.ends)
        if one.raised and over:
            yield f.AlertCleared(
                alert=one.alert, scope=one.scope, item=one.item, lasted_seconds=lasted
            )
        elif not one.raised and not over and lasted >= delay(one, context.settings.alerts):
            yield f.AlertRaised(
                alert=one.alert,
                scope=one.scope,
                item=one.item,
                severity=one.severity,
                text=one.text,
                lasted_seconds=lasted,
            )


def delay(one: Condition, settings: AlertSettings) -> float:
    """Seconds after which a condition is an alert."""
    return settings.setback_seconds if one.patient else settings.after_seconds


def _compared(state: Alerts, config: str, item: Baseline, context: Context) -> Alerts:
    state = replace(state, configs={**state.configs, config: item})
    key = "below-heuristic", config, ""
    if item.games < BASELINE_GAMES or (item.above is not None and item.above >= 0.0):
        return _ended(state, key)
    best = "no network" if item.above is None else f"{item.above:+.0f} Elo"
    text = f"{best} after {item.games:,} games: look at losses and the quality of data"
    return _begun(state, key, text, context)


def _begun(
    state: Alerts,
    key: Key,
    text: str,
    context: Context,
    severity: f.AlertSeverity = "warning",
    patient: bool = False,
    ends: datetime | None = None,
) -> Alerts:
    alert, scope, item = key
    name = " ".join(key)
    known = state.conditions.get(name)
    if known is None and len(state.conditions) >= CONDITIONS_MAX:
        return state
    found = Condition(
        alert=alert,
        scope=scope,
        item=item,
        severity=severity,
        patient=patient,
        text=text[:TEXT_CHARS_MAX],
        since=known.since if known else context.time,
        ends=ends,
        raised=known is not None and known.raised,
    )
    return replace(state, conditions={**state.conditions, name: found})


def _ended(state: Alerts, key: Key) -> Alerts:
    """A raised condition stays until its alert is cleared."""
    name = " ".join(key)
    known = state.conditions.get(name)
    if known is None:
        return state
    if not known.raised:
        return _without(state, name)
    return replace(state, conditions=changed(state.conditions, name, over=True))


def _without(state: Alerts, name: str) -> Alerts:
    left = {key: one for key, one in state.conditions.items() if key != name}
    return replace(state, conditions=left)


def name_of(fact: f.AlertFact) -> str:
    """The name of an alert: its kind, scope and item."""
    return f"{fact.alert} {fact.scope} {fact.item}"


def _letter(fact: f.DeadLetterFact) -> str:
    return f"{fact.consumer}/{fact.stream}/{fact.seq}"
