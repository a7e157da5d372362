"""Which weights does a training start from? Those of the newest network of the same architecture.

Where several architectures compete, each has its own line of networks, and the next training is of
the one furthest below its share. A network that learned from retracted games is replaced by its
nearest clean ancestor. A config that adopts a network of another continues its line. Where a
cascade is set, the promotion of a network of one architecture makes the next training one of
another, taught by it. The first network of a line starts from the weights that the settings name,
if any."""

from ringrift.deciders.kit import Context, Fold, Struct, replace
from ringrift.events import facts as f
from ringrift.events.settings import Settings, TrainingSettings, model_for


class Lineage(Struct, frozen=True, kw_only=True):
    """The networks of a config, and how its trainings are shared among architectures."""

    newest: str | None = None
    """newest network, promoted or not"""
    shares: dict[str, float] = {}
    """of training, by architecture"""
    trainings: dict[str, int] = {}
    """requested, by architecture"""
    lines: dict[str, str] = {}
    """newest network of each architecture"""
    models: dict[str, str] = {}
    """architecture of every network"""
    timed_out: str | None = None
    """ticket of the training that timed out last; its results are ignored"""
    cascade: tuple[str, str] | None = None
    """architecture of the next training and its teacher"""

    def next(self, settings: Settings, config: str) -> tuple[str, str | None, str | None]:
        """Architecture of the next training, the network that it starts from, and its teacher."""
        training = settings.training
        initial = model_for(training.init, config)
        teacher = model_for(training.distill_from, config)
        shares = set_shares(settings) or self.shares
        architecture = next_architecture(training, shares, self.trainings)
        if self.cascade:
            architecture, teacher = self.cascade
        if self.models.get(initial or "", architecture) != architecture:
            initial = None  # it is the start of another line
        parent = self.lines.get(architecture)
        if self.cascade:
            return architecture, parent or initial, teacher
        # without competition the line is the newest network, unless its weights do not fit
        fits = self.models.get(self.newest or "", architecture) == architecture
        if not training.architectures and fits:
            parent = self.newest
        return architecture, parent or initial, teacher


LINEAGE = Fold(Lineage)
LINEAGE.keeps(f.TrainingTimedOut, timed_out=lambda fact: fact.ticket)
LINEAGE.keeps(f.ModelRolledBack, newest=lambda fact: fact.current)
LINEAGE.keeps(f.ArchitectureSharesDecided, shares=lambda fact: fact.shares)


@LINEAGE.evolves
def requested(item: Lineage, fact: f.TrainingRequested) -> Lineage:
    name = fact.architecture
    trainings = {**item.trainings, name: item.trainings.get(name, 0) + 1}
    cascade = None if item.cascade and item.cascade[0] == name else item.cascade
    return replace(item, trainings=trainings, cascade=cascade)


@LINEAGE.evolves
def trained(item: Lineage, fact: f.TrainingFinished) -> Lineage:
    return item if fact.ticket == item.timed_out else replace(item, newest=fact.model)


@LINEAGE.evolves
def registered(item: Lineage, fact: f.ModelRegistered) -> Lineage:
    if fact.ticket == item.timed_out:
        return item
    lines = {**item.lines, fact.architecture: fact.model}
    return replace(item, lines=lines, models={**item.models, fact.model: fact.architecture})


@LINEAGE.evolves
def tried(item: Lineage, fact: f.ExperimentEnded) -> Lineage:
    architecture = item.models.get(fact.network or "")
    if architecture is None:
        return item
    return replace(item, newest=fact.network, lines={**item.lines, architecture: fact.network})


@LINEAGE.evolves
def adopted(item: Lineage, fact: f.ModelAdopted) -> Lineage:
    # the start of the first training, even if it does not win enough to play
    lines = {**item.lines, fact.architecture: fact.model}
    models = {**item.models, fact.model: fact.architecture}
    return replace(item, newest=fact.model, lines=lines, models=models)


@LINEAGE.evolves
def derived(item: Lineage, fact: f.ModelDerived) -> Lineage:
    return replace(item, models={**item.models, fact.model: fact.architecture})


@LINEAGE.evolves
def tainted(item: Lineage, fact: f.ModelTainted) -> Lineage:
    clean = {fact.model: fact.clean_ancestor}
    lines = {name: clean.get(model, model) for name, model in item.lines.items()}
    newest = clean.get(item.newest, item.newest) if item.newest else None
    return replace(item, newest=newest, lines={name: one for name, one in lines.items() if one})


@LINEAGE.evolves
def promoted(item: Lineage, fact: f.ModelPromoted, context: Context) -> Lineage:
    # any promotion replaces a cascade that was not started yet
    pairs = dict(pair.split(">") for pair in context.settings.training.cascade)
    names = (name for name, model in item.lines.items() if model == fact.model)
    follower = pairs.get(next(names, ""))
    # after a promotion by hand trainings go on from its network
    newest = fact.model if fact.evidence is None else item.newest
    return replace(item, newest=newest, cascade=(follower, fact.model) if follower else None)


def set_shares(settings: Settings) -> dict[str, float]:
    """The shares of trainings that a person sets, by architecture; empty if none are set."""
    given, names = settings.architectures.by_name, settings.training.architectures
    if not given:
        return {}
    others = [name for name in names if name not in given]
    rest = max(0.0, 1.0 - sum(given.values())) / max(1, len(others))
    return given | dict.fromkeys(others, rest)


def next_architecture(
    settings: TrainingSettings, shares: dict[str, float], trainings: dict[str, int]
) -> str:
    """The architecture furthest below its share of trainings; the first in the settings on a
    tie."""
    names = settings.architectures or (settings.architecture,)
    equal = 1.0 / len(names)

    def level(name: str) -> float:
        return (trainings.get(name, 0) + 1) / max(shares.get(name, equal), 1e-9)

    return min(names, key=level)
