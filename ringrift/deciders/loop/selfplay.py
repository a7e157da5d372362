"""When do we play? The first generation when a config is switched on, the next when a candidate was
judged.

Generation 0 has no network: its search values leaves with the handcrafted heuristic. Generation g
is played by the current network after the candidate of generation g was promoted or rejected. If
all games of a generation are exported and still do not make a training set, or one that is good
enough to be trained on, the same generation plays on.

Exploration and allocation reach the next plan: plies with noise follow the boost of the config,
games of a generation its share against an equal one.

On a fleet of registered nodes there is more: tickets are as large as those nodes should have them,
and when fewer tickets wait than nodes play, spare games are planned, which no generation waits for.
They go to the config furthest behind its share, counted in plans of its own (deficit round robin,
Shreedhar and Varghese 1995), are played by its current network and train the next one."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.feedback import exploration, scheduling
from ringrift.deciders.fleet.durations import Spread
from ringrift.deciders.kit import Classic, Context, seed_from
from ringrift.deciders.loop.progress import Progress
from ringrift.deciders.pauses import Pauses
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    AllocationDecided,
    DeadlockBroken,
    EvaluationScored,
    ExplorationAdjusted,
    ModelPromoted,
    ModelRolledBack,
    NodeAssigned,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    QualityDegraded,
    QualityRecovered,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingBlocked,
    TrainingRequested,
    VelocityChanged,
)

WAITING_A_NODE = 2
"""tickets a playing node, one in hand and one that waits: with fewer, spare games are planned, a
ticket for each node"""
WAITING_MAX = 300
"""so that, with the tickets of generations, trainings and matches, the queue of 1,000 does not fill
on however large a fleet"""
TICKET_GAMES_MIN = 8
"""smaller batches leave an accelerator idle"""
TICKET_FACTOR_MAX = 4
"""times the usual size: a lockstep of more games gains nothing"""
CREDIT_PLANS_MAX = 4
"""of the largest spare plans that a config may be owed, or owe: where games take long a plan has a
hundredth of the games that it has where they are short, and must not strike off what others are
owed"""


class ConfigPlay(Struct, frozen=True, kw_only=True):
    """One config: the generation to play, the network that plays it, and how far play and export
    have come."""

    generation: int = 0
    model: str | None = None
    plans: int = 0
    """plans made for this generation; 0 = it is due"""
    progress: Progress = Progress()
    boost: float = exploration.USUAL
    gap: float | None = None
    """Elo of the current network above the heuristic"""
    blocked: bool = False
    """the data of this generation may not be trained on before more were played"""
    again: bool = False
    """its loop stood still, so the generation plays on"""
    credit: float = 0.0
    """games that its share would have brought, less those planned, within `CREDIT_PLANS_MAX` of the
    largest spare plans"""
    seconds: Spread = Spread()
    """of a node for a game"""


class SelfplayState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses, and every config that has been switched on."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    configs: dict[str, ConfigPlay] = {}
    shares: dict[str, float] = {}
    players: dict[str, float] = {}
    """registered nodes that play, with the seconds that a ticket on them should take"""


def evolve(state: SelfplayState, event: Fact, meta: Context) -> SelfplayState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            known = {
                config: state.configs.get(config, ConfigPlay()) for config in event.settings.configs
            }
            return replace(
                state,
                settings=event.settings,
                version=event.version,
                configs={**state.configs, **known},
            )
        case PipelinePaused() | PipelineResumed():
            return replace(state, pauses=state.pauses.after(event))
        case ModelPromoted():
            return _with(
                state, event.config, generation=event.generation, plans=0, model=event.model
            )
        case PromotionRejected():
            return _with(
                state, event.config, generation=event.generation, plans=0, model=event.current
            )
        case ModelRolledBack():
            return _with(state, event.config, model=event.current)
        case ExplorationAdjusted():
            return _with(state, event.config, boost=event.boost)
        case AllocationDecided():
            return replace(state, shares=event.shares)
        case VelocityChanged():
            return _with(state, event.config, gap=event.elo_above_heuristic)
        case TrainingBlocked():
            return _with(state, event.config, blocked=True)
        case SelfplayPlanned():
            return _planned(state, event)
        case NodeAssigned():
            players = {
                name: seconds for name, seconds in state.players.items() if name != event.node
            }
            return replace(
                state,
                players=players
                | ({event.node: event.ticket_seconds} if "selfplay" in event.kinds else {}),
            )
        case DeadlockBroken():
            return _with(state, event.config, again=True)
        case SelfplayFinished():
            play = state.configs.get(event.config, ConfigPlay())
            seconds = (
                play.seconds.after(event.play_seconds / event.games)
                if event.games
                else play.seconds
            )
            return _with(state, event.config, progress=play.progress.after(event), seconds=seconds)
        case (
            EvaluationScored()
            | ShardExported()
            | TrainingRequested()
            | QualityDegraded()
            | QualityRecovered()
        ):
            play = state.configs.get(event.config, ConfigPlay())
            return _with(state, event.config, progress=play.progress.after(event))
    return state


def _planned(state: SelfplayState, event: SelfplayPlanned) -> SelfplayState:
    """One more plan; who got the games owes them to the others, by shares."""
    play = state.configs.get(event.config, ConfigPlay())
    play = replace(play, progress=play.progress.after(event))
    play = play if event.spare else replace(play, plans=play.plans + 1, blocked=False, again=False)
    configs = {**state.configs, event.config: play}
    if state.players:
        most = CREDIT_PLANS_MAX * max(
            (spare_games(state, config) for config in state.settings.configs), default=0
        )
        for config in state.settings.configs:
            item = configs.get(config, ConfigPlay())
            credit = (
                item.credit
                + _share(state, config) * event.games
                - (event.games if config == event.config else 0)
            )
            configs[config] = replace(item, credit=min(max(credit, -most), most))
    return replace(state, configs=configs)


def decide(state: SelfplayState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Plan every config whose generation is due, and spare games where nodes would have nothing to
    do."""
    due = tuple(
        _plan(state, config, play)
        for config, play in state.configs.items()
        if _due(state, config, play)
    )
    return due or _spare(state)


def _on(state: SelfplayState, config: str, play: ConfigPlay) -> bool:
    last, paused = state.settings.generations, state.pauses.stops(config, "selfplay")
    return (
        config in state.settings.configs and not paused and not (last and play.generation >= last)
    )


def _due(state: SelfplayState, config: str, play: ConfigPlay) -> bool:
    if not _on(state, config, play):
        return False
    if play.plans == 0 or play.again:
        return True
    exported = play.progress.idle(state.settings.shard.games)
    return (
        exported
        and not play.progress.training
        and (play.blocked or not play.progress.enough(state.settings.training))
    )


def _spare(state: SelfplayState) -> tuple[Fact, ...]:
    """Tickets for every node, of the config furthest behind its share, once fewer wait than nodes
    play."""
    if not state.players:
        return ()
    waiting = sum(
        math.ceil(play.progress.games_outstanding / ticket_games(state, name))
        for name, play in state.configs.items()
    )
    able = [name for name, play in state.configs.items() if play.plans and _on(state, name, play)]
    if waiting >= min(WAITING_A_NODE * len(state.players), WAITING_MAX) or not able:
        return ()
    config = max(
        able, key=lambda name: (state.configs[name].credit / spare_games(state, name), name)
    )
    play = state.configs[config]
    seed = seed_from(
        state.settings.seed, config, "spare", play.generation, play.progress.spare_planned
    )
    return (
        replace(
            _plan(state, config, play), games=spare_games(state, config), seed=seed, spare=True
        ),
    )


def spare_games(state: SelfplayState, config: str) -> int:
    """Games of a spare plan: a ticket for each node that plays."""
    return min(len(state.players), WAITING_MAX) * ticket_games(state, config)


def ticket_games(state: SelfplayState, config: str) -> int:
    """Games of a ticket: as settings say or, on a fleet, as many as most nodes finish in the time
    that the shortest-lived should take for one, the fewest until that is known. Any node may take
    any ticket, so they fit all."""
    usual = state.settings.selfplay.games_per_ticket
    play = state.configs.get(config, ConfigPlay())
    if not state.players:
        return usual
    if not play.seconds.count:
        return min(TICKET_GAMES_MIN, usual)
    games = int(min(state.players.values()) / max(play.seconds.careful, 1e-9))
    return min(max(games, TICKET_GAMES_MIN), TICKET_FACTOR_MAX * usual)


def _share(state: SelfplayState, config: str) -> float:
    return state.shares.get(config, 1.0 / len(state.settings.configs))


def _plan(state: SelfplayState, config: str, play: ConfigPlay) -> SelfplayPlanned:
    settings = state.settings.selfplay
    return SelfplayPlanned(
        config=config,
        generation=play.generation,
        games=_games(state, config) if play.model else settings.bootstrap_games,
        games_per_ticket=ticket_games(state, config),
        simulations=_simulations(state, play),
        model=play.model,
        seed=seed_from(state.settings.seed, config, "selfplay", play.generation, play.plans),
        settings_version=state.version,
        noise_plies=exploration.plies(settings.noise_plies, play.boost),
    )


def _games(state: SelfplayState, config: str) -> int:
    """Games of a generation, more for a config with more than an equal share."""
    equal = 1.0 / len(state.settings.configs)
    return max(1, round(state.settings.selfplay.games * state.shares.get(config, equal) / equal))


def _simulations(state: SelfplayState, play: ConfigPlay) -> int:
    """Search budget of the plan."""
    settings = state.settings.selfplay
    return (
        settings.simulations
        if settings.budget == "fixed"
        else scheduling.budget(play.progress.games_played, play.gap)
    )


def _with(state: SelfplayState, config: str, **changes: object) -> SelfplayState:
    play = state.configs.get(config, ConfigPlay())
    return replace(state, configs={**state.configs, config: replace(play, **changes)})


DECIDER = Classic(
    name="selfplay",
    state=SelfplayState,
    reads=(
        SettingsChanged,
        PipelinePaused,
        PipelineResumed,
        ModelPromoted,
        PromotionRejected,
        SelfplayFinished,
        EvaluationScored,
        ShardExported,
        TrainingRequested,
        TrainingBlocked,
        ModelRolledBack,
        ExplorationAdjusted,
        AllocationDecided,
        VelocityChanged,
        NodeAssigned,
        DeadlockBroken,
        QualityDegraded,
        QualityRecovered,
    ),
    writes=(SelfplayPlanned,),
    initial=SelfplayState,
    evolve=evolve,
    decide=decide,
)
