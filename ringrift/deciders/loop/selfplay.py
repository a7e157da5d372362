"""When do we play? The first generation when a config is switched on, the next one when a candidate
was judged.

Generation 0 has no network: its search evaluates leaves with the handcrafted heuristic. Generation
g is played by the current network after the candidate of generation g was promoted or rejected. If
all games of a generation are exported and still too few, or too poor, for a training, the same
generation plays on.

Exploration and allocation reach the next plan: plies with noise follow the boost of the config, and
the number of games its share.

On a fleet of registered nodes, tickets are as large as these nodes should have them. A config that
is behind its share, counted in seconds of nodes (deficit round robin, Shreedhar and Varghese 1995),
and has too few tickets for it gets spare games, which no generation waits for: else the games of
large boards took the time of configs that are trained and measured. When fewer tickets wait than
nodes play, the config furthest behind gets some too. The current network plays them, and the next
one is trained on them.

Elsewhere each config plays spare games ahead with its current network while it is trained and
measured, until enough new samples wait to be learned from."""

from collections.abc import Iterator

from ringrift.deciders.feedback import exploration, scheduling
from ringrift.deciders.fleet.durations import Spread
from ringrift.deciders.kit import (
    STEERING,
    Configs,
    Context,
    Decider,
    Struct,
    noted,
    replace,
    seed_from,
)
from ringrift.deciders.loop import adoption, ticket_sizes
from ringrift.deciders.loop.adoption import ADOPTION, Adoption
from ringrift.deciders.loop.opponents import OPPONENTS, Opponents
from ringrift.deciders.loop.progress import PROGRESS, Progress
from ringrift.deciders.loop.ticket_sizes import TICKET_GAMES_LAST, shrinking
from ringrift.events import Settings, facts as f
from ringrift.events.participants import kind_of

WAITING_A_NODE = 2
"""tickets per playing node, one in hand and one waiting; with fewer, spare games are planned"""
WAITING_MAX = 300
"""so that tickets of all kinds do not fill the queue of 1,000 on a large fleet"""
SHRINKING_MAX = 1_000
"""tickets of a plan; those of more are alike"""
PLAYERS = 2
"""processes that play, until they were counted"""
PLAYERS_MAX = 256
CREDIT_TICKETS_MAX = 4
"""tickets of each playing node that a config may be owed, or owe"""


class Play(Struct, frozen=True, kw_only=True):
    """The generation of a config to play, the network that plays it, and its progress."""

    generation: int = 0
    model: str | None = None
    plans: int = 0
    """plans of this generation; 0 = it is due"""
    progress: Progress = Progress()
    adoption: Adoption = Adoption()
    opponents: Opponents = Opponents()
    boost: float = exploration.USUAL
    gap: float | None = None
    """Elo of the current network above the heuristic"""
    suspended: bool = False
    """its trainings fail again and again"""
    blocked: bool = False
    """this generation must play more games before it is trained on"""
    again: bool = False
    """a deadlock was broken, so the generation plays on"""
    credit: float = 0.0
    """seconds of nodes due by its share, less those planned"""
    seconds: Spread = Spread()
    """of a game on a node"""
    timed: tuple[str, ...] = ()
    """tickets of these games"""


class Plays(Configs[Play], frozen=True, kw_only=True):
    """Every config that was switched on, and the shares of self-play."""

    shares: dict[str, float] = {}
    nodes: ticket_sizes.Nodes = ticket_sizes.Nodes()
    workers: int = PLAYERS
    """processes that play, in the last sample"""


DECIDER = Decider("selfplay", Plays, parts=(PROGRESS, ADOPTION, OPPONENTS), wakes=STEERING)
DECIDER.keeps(f.ModelRolledBack, model=lambda fact: fact.current)
DECIDER.keeps(f.ExplorationAdjusted, boost=lambda fact: fact.boost)
DECIDER.keeps(f.VelocityChanged, gap=lambda fact: fact.elo_above_heuristic)
DECIDER.keeps(f.SelfplaySuspended, suspended=lambda fact: True)
DECIDER.keeps(f.SelfplayRestored, suspended=lambda fact: False)
DECIDER.keeps(f.AllocationDecided, shares=lambda fact: fact.shares)


@DECIDER.evolves
def switched(state: Plays, fact: f.SettingsChanged) -> Plays:
    on = {config: state.configs.get(config, Play()) for config in fact.settings.configs}
    return replace(state, configs={**state.configs, **on})


@DECIDER.evolves
def judged(item: Play, fact: f.Verdict) -> Play:
    if fact.generation <= item.generation:  # of a network that a person imported or promoted
        return replace(item, model=fact.current)
    return replace(item, generation=fact.generation, plans=0, model=fact.current)


@DECIDER.evolves
def blocked(item: Play, fact: f.TrainingBlocked) -> Play:
    return replace(item, blocked=True)


@DECIDER.evolves
def deadlock_broken(item: Play, fact: f.DeadlockBroken) -> Play:
    return replace(item, again=True)


@DECIDER.evolves
def played(item: Play, fact: f.SelfplayFinished) -> Play:
    if not fact.games or fact.ticket in item.timed:
        return item
    seconds = item.seconds.after(fact.play_seconds / fact.games)
    return replace(item, seconds=seconds, timed=noted(item.timed, fact.ticket))


@DECIDER.evolves
def planned(item: Play, fact: f.SelfplayPlanned) -> Play:
    if fact.spare:
        return item
    return replace(item, plans=item.plans + 1, blocked=False, again=False)


@DECIDER.evolves
def credited(state: Plays, fact: f.SelfplayPlanned, context: Context) -> Plays:
    """A config that gets games owes their time to the others, by shares."""
    if not state.nodes.players:
        return state
    settings, configs = context.settings, dict(state.configs)
    ticket = state.nodes.shortest_seconds
    most = CREDIT_TICKETS_MAX * len(state.nodes.players) * ticket
    timed = configs.get(fact.config, Play()).seconds
    # a ticket of untimed games is taken to be as long as intended
    a_game = timed.mean if timed.count else ticket / max(fact.games_per_ticket, 1)
    seconds = min(fact.games * a_game, most)
    for config in settings.configs:
        item = configs.get(config, Play())
        share = state.shares.get(config, 1.0 / len(settings.configs))
        credit = item.credit + share * seconds
        credit -= seconds if config == fact.config else 0.0
        configs[config] = replace(item, credit=min(max(credit, -most), most))
    return replace(state, configs=configs)


@DECIDER.evolves
def assigned(state: Plays, fact: f.NodeAssigned) -> Plays:
    seconds = fact.ticket_seconds if "selfplay" in fact.kinds else None
    return replace(state, nodes=state.nodes.playing(fact.node, seconds))


@DECIDER.evolves
def equipped(state: Plays, fact: f.NodeRegistered | f.NodeDescribed) -> Plays:
    gib = fact.vram_gib if "selfplay" in fact.kinds else None
    return replace(state, nodes=state.nodes.equipped(fact.node, gib))


@DECIDER.evolves
def forgotten(state: Plays, fact: f.NodeForgotten | f.NodeReturned) -> Plays:
    return replace(state, nodes=state.nodes.equipped(fact.node, None))


@DECIDER.evolves
def sampled(state: Plays, fact: f.UtilisationSampled) -> Plays:
    workers = sum(node.players for node in fact.nodes.values())
    workers = min(workers, PLAYERS_MAX) or PLAYERS
    return state if workers == state.workers else replace(state, workers=workers)


@DECIDER.decides
def plan(state: Plays, context: Context) -> Iterator[f.SelfplayPlanned]:
    """Plan every config whose generation is due, else spare games for nodes without tickets."""
    settings = context.settings
    due = [config for config in state.configs if _due(state, config, context)]
    for config in due:
        item = state.configs[config]
        games = _games(state, config, settings)
        if not item.model or (not item.generation and item.model == item.adoption.adopted):
            games = _on_board(config, settings.selfplay.bootstrap_games, settings)
        purpose = ("selfplay", item.generation, item.plans)
        yield _plan(state, config, context, games, purpose)
    if state.nodes.players:
        if not due and (spare := _spare(state, context)) is not None:
            item, games = state.configs[spare], spare_games(state, spare, settings)
            purpose = ("spare", item.generation, item.progress.spare_planned)
            yield _plan(state, spare, context, games, purpose)
        return
    for config, item in state.configs.items():
        wide = min(wide_games(state, config, settings), settings.selfplay.games)
        last = max(TICKET_GAMES_LAST, wide)
        games = state.workers * min(last, ticket_games(state, config, settings))
        if config not in due and _may_play_ahead(state, config, games, context):
            purpose = ("spare", item.generation, item.progress.spare_planned)
            yield _plan(state, config, context, games, purpose)


def _may_play_ahead(state: Plays, config: str, games: int, context: Context) -> bool:
    """Whether a config of an unregistered machine plays games that no generation waits for: so few
    are left to be played that workers would idle, and a later generation may learn from them."""
    item, settings = state.configs[config], context.settings
    if not item.plans or not _on(config, item, context):
        return False
    learned_at = item.generation + (2 if item.progress.training else 1)
    if settings.generations and learned_at > settings.generations:
        return False
    few = item.progress.games_outstanding < games
    return few and item.progress.may_play_ahead(settings.training, settings.shard.games)


def _plan(
    state: Plays, config: str, context: Context, games: int, purpose: tuple[str, int, int]
) -> f.SelfplayPlanned:
    settings, item = context.settings, state.configs[config]
    simulations = settings.selfplay.simulations
    if settings.selfplay.budget != "fixed":
        games_played = item.progress.games_played
        simulations = scheduling.budget(games_played, item.gap, settings.selfplay)
    # a plan of too many tickets is not lawful
    per_ticket = max(ticket_games(state, config, settings), -(-games // f.TICKETS_MAX))
    alike = state.nodes.players or games // per_ticket > SHRINKING_MAX
    least = max(TICKET_GAMES_LAST, wide_games(state, config, settings))
    tickets = () if alike else shrinking(games, per_ticket, state.workers, least)
    noise = exploration.plies(settings.selfplay.noise_plies, item.boost)
    opponents = item.opponents.seats(config, item.model, simulations, settings.selfplay, noise)
    return f.SelfplayPlanned(
        **context.basis(config),
        generation=item.generation,
        games=games,
        games_per_ticket=per_ticket,
        tickets=tickets,
        simulations=simulations,
        model=item.model,
        seed=seed_from(settings.seed, config, *purpose),
        noise_plies=noise,
        spare=purpose[0] == "spare",
        owed=purpose[0] == "spare" and item.credit > 0.0,
        opponents=opponents,
        opponent_share=settings.selfplay.past_share if opponents else 0.0,
    )


def _on(config: str, item: Play, context: Context) -> bool:
    last = context.settings.generations
    finished, paused = last and item.generation >= last, context.pauses.stops(config, "selfplay")
    on = config in context.settings.configs and not item.suspended
    return on and not paused and not finished


def _due(state: Plays, config: str, context: Context) -> bool:
    item, settings = state.configs[config], context.settings
    progress, begins = item.progress, item.plans == 0 or item.again
    if not begins and (progress.training or not progress.idle(settings.shard.games)):
        return False  # the next generation follows from the candidate of this training
    if not _on(config, item, context):
        return False
    if begins:
        return bool(item.plans) or not _awaits_network(state, config, context)
    return item.blocked or not progress.enough(settings.training)


def _awaits_network(state: Plays, config: str, context: Context) -> bool:
    """Whether a config without games will begin with the network of another, or may."""
    items = {name: play.adoption for name, play in state.configs.items()}
    if items[config].on_trial or adoption.offered(config, items, context.settings):
        return True
    other = adoption.awaited(config, context.settings)
    if other is None or items[config].begun or state.nodes.players:
        return False
    # not for one whose first network was rejected, as that of the next generation may be late
    return not state.configs[other].generation and _on(other, state.configs[other], context)


def _games(state: Plays, config: str, settings: Settings) -> int:
    """Games of a generation, more for a config with more than an equal share."""
    equal = 1.0 / len(settings.configs)
    games = settings.selfplay.games * state.shares.get(config, equal) / equal
    return _on_board(config, games, settings)


def _on_board(config: str, games: float, settings: Settings) -> int:
    """Games of a generation on the board of a config: fewer on a large one."""
    return max(1, round(games * (settings.selfplay.large_board_share if f.is_large(config) else 1)))


def _spare(state: Plays, context: Context) -> str | None:
    """The config that gets spare games: the one furthest behind its share of those that have too
    few tickets for it, or of all if fewer tickets wait than nodes play."""
    settings, waiting = context.settings, 0
    most = min(WAITING_A_NODE * len(state.nodes.players), WAITING_MAX)
    able, short = list[tuple[float, str]](), list[tuple[float, str]]()
    for config, item in state.configs.items():
        left, games = item.progress.games_outstanding, ticket_games(state, config, settings)
        waiting += -(-left // games)
        if item.plans and _on(config, item, context):
            able.append((item.credit, config))
            share = state.shares.get(config, 1.0 / len(settings.configs))
            if item.credit > 0.0 and left < share * most * games:
                short.append((item.credit, config))
    if waiting >= most and not short:
        return None
    return max(short or able, default=(0.0, None))[1]


def spare_games(state: Plays, config: str, settings: Settings) -> int:
    """Games of a spare plan: with those of the other configs a ticket for each node that plays."""
    tickets = min(len(state.nodes.players), WAITING_MAX) // max(len(settings.configs), 1)
    return max(tickets, 1) * ticket_games(state, config, settings)


def ticket_games(state: Plays, config: str, settings: Settings) -> int:
    """Games of a ticket. Any node may take any ticket, so all are alike."""
    usual, wide = settings.selfplay.games_per_ticket, wide_games(state, config, settings)
    seconds = state.configs.get(config, Play()).seconds
    if not state.nodes.players:
        return ticket_sizes.of_a_machine(usual, wide, seconds)
    return ticket_sizes.of_a_fleet(usual, wide, seconds, state.nodes.shortest_seconds)


def wide_games(state: Plays, config: str, settings: Settings) -> int:
    """`Nodes.gpu_games`, or 0 if what plays does not run on a GPU."""
    runs = state.configs.get(config, Play()).model
    return (
        state.nodes.gpu_games
        if runs and kind_of(settings.training.architecture) == "network"
        else 0
    )
