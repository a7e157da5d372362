"""Which config begins with the network of another one? One that has none, if its sister has one:
the config with as many seats on the other board of the same kind.

A network plays every board, and what it learned on a small one holds on a large one. It is put on
trial against the heuristic as it is, and becomes current if it wins more than its fair share beyond
doubt (`ringrift.deciders.loop.promotion`); the first generation is then its own games, and its
weights are the start of the first training. Otherwise the config begins with games of the
heuristic. A network that was trained on several configs is on trial in each of them, as one of its
own. One on a large board waits for the first network of its sister, because its games take
ten times as long and teach less; not on a fleet, whose nodes would idle."""

from collections.abc import Iterator, Mapping

from ringrift.deciders.kit import Configs, Context, Decider, Fold, Struct, replace
from ringrift.events import Settings, facts as f
from ringrift.events.settings import model_for

SISTERS = {"hexagonal": "hex8", "hex8": "hexagonal", "square19": "square8", "square8": "square19"}
"""the other board of the same kind"""


class Made(Struct, frozen=True, kw_only=True):
    """What the fact about a network says."""

    model: str
    architecture: str
    encoder: str
    parameters: int
    parents: tuple[str, ...]


class Adoption(Struct, frozen=True, kw_only=True):
    """The networks that a config has for others, and whether it may begin with one of theirs."""

    network: Made | None = None
    """the newest that became current"""
    candidates: dict[str, Made] = {}
    """without a verdict"""
    begun: bool = False
    """it has, or had, a network"""
    adopted: str | None = None
    on_trial: bool = False


ADOPTION = Fold(Adoption)


@ADOPTION.evolves
def registered(item: Adoption, fact: f.ModelRegistered | f.ModelAdopted) -> Adoption:
    made = Made(
        model=fact.model,
        architecture=fact.architecture,
        encoder=fact.encoder,
        parameters=fact.parameters,
        parents=fact.parents,
    )
    item = replace(item, candidates={**item.candidates, fact.model: made}, begun=True)
    if isinstance(fact, f.ModelAdopted) and not fact.generation:
        return replace(item, adopted=fact.model, on_trial=True)
    return item


@ADOPTION.evolves
def judged(item: Adoption, fact: f.Verdict) -> Adoption:
    candidates = {name: made for name, made in item.candidates.items() if name != fact.model}
    made = item.candidates.get(fact.model)
    network = made if made and fact.current == fact.model else item.network
    on_trial = item.on_trial and fact.model != item.adopted
    return replace(item, candidates=candidates, network=network, on_trial=on_trial)


@ADOPTION.evolves
def withdrawn(item: Adoption, fact: f.ModelRolledBack | f.ModelTainted) -> Adoption:
    """A network that was rolled back, or learned from retracted games, is not for others."""
    known = item.network
    return replace(item, network=None) if known and known.model == fact.model else item


class Adopting(Struct, frozen=True, kw_only=True):
    """A config."""

    adoption: Adoption = Adoption()


DECIDER = Decider("adoption", Configs[Adopting], parts=(ADOPTION,), wakes=(f.SettingsChanged,))


@DECIDER.decides
def adopt(state: Configs[Adopting], context: Context) -> Iterator[f.ModelAdopted]:
    """Have every config without a network adopt that of its sister."""
    items = {config: item.adoption for config, item in state.configs.items()}
    for config in context.settings.configs:
        made = offered(config, items, context.settings)
        if made is None:
            continue
        why = f"{config} has no network, and what {sister(config)} has learned may hold there"
        yield _adopted(config, sister(config), made, 0, why, context)


@DECIDER.decides
def serve(
    state: Configs[Adopting], fact: f.ModelRegistered, context: Context
) -> Iterator[f.ModelAdopted]:
    """Have every config that a network was trained for, besides its own, put it on trial."""
    made = state.configs[fact.config].adoption.candidates[fact.model]
    for config, generation in fact.serves.items():
        why = f"it was trained on games of {config} too"
        yield _adopted(config, fact.config, made, generation, why, context)


def _adopted(
    config: str, origin: str, made: Made, generation: int, why: str, context: Context
) -> f.ModelAdopted:
    return f.ModelAdopted(
        **context.basis(config),
        origin=origin,
        generation=generation,
        model=made.model,
        architecture=made.architecture,
        encoder=made.encoder,
        parameters=made.parameters,
        parents=made.parents,
        why=why,
    )


def sister(config: str) -> str:
    """The config with as many seats on the other board of the same kind."""
    board, _, seats = config.rpartition("_")
    return f"{SISTERS[board]}_{seats}"


def offered(config: str, items: Mapping[str, Adoption], settings: Settings) -> Made | None:
    """The network of its sister, if a config may begin with it."""
    if not _may(config, settings) or items.get(config, Adoption()).begun:
        return None
    return items.get(sister(config), Adoption()).network


def awaited(config: str, settings: Settings) -> str | None:
    """The config for whose first network a config on a large board waits before it begins."""
    other = sister(config)
    waits = _may(config, settings) and f.is_large(config)
    return other if waits and other in settings.configs else None


def _may(config: str, settings: Settings) -> bool:
    """Whether the settings permit it; if they name a start for the config, that counts."""
    return settings.training.adoption and not model_for(settings.training.init, config)
