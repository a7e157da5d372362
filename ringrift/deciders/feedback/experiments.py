"""Do other settings of training make better networks? An experiment compares two arms.

While it runs, each training of its config is requested twice, on the same shards with the same
seed: first with the settings of arm a, then with those of arm b. Each arm goes on from its own
newest network. Both networks are candidates as always, so self-play and promotions go on, and the
better one becomes current. Besides, those of a pair play each other, b as the candidate. All these
starts are one sequential test with the limits of `promotion`; it ends the experiment after
`PAIRS_MIN` pairs at the earliest, since every training is also luck, and after `pairs` at the
latest. Trainings then go on from the network of the better arm, of arm a unless b is better."""

from __future__ import annotations

from collections.abc import Iterator

from ringrift.deciders.kit import Configs, Context, Decider, Fold, Struct, noted, replace, seed_from
from ringrift.deciders.loop.attempts import ATTEMPTS_MAX
from ringrift.deciders.loop.verdict import Scores, counts, evidence_of, merged
from ringrift.events import facts as f
from ringrift.events.participants import kind_of, network_seat

PAIRS_MIN = 2
ARM_NAMES: tuple[f.ArmName, f.ArmName] = ("a", "b")


class Network(Struct, frozen=True, kw_only=True):
    """The newest network of an arm."""

    model: str
    architecture: str


class Arms(Struct, frozen=True, kw_only=True):
    """The experiment of a config, and its pair of trainings in progress."""

    id: str = ""
    """position of its `ExperimentStarted`; empty: none"""
    started: f.ExperimentStarted | None = None
    first: f.TrainingRequested | None = None
    """of the pair: that of arm a"""
    training: f.ArmName | None = None
    """requested and not finished"""
    networks: dict[f.ArmName, Network] = {}
    asked: tuple[str, ...] = ()
    """networks of arm b whose match was requested"""
    timed_out: str | None = None

    @property
    def second_due(self) -> bool:
        """Whether arm a of the pair is trained, and b is not."""
        return self.first is not None and self.training is None

    @property
    def pair(self) -> tuple[Network, ...]:
        """The networks of the arms; empty while a pair is trained."""
        both = self.first is None and len(self.networks) == len(ARM_NAMES)
        return tuple(self.networks[arm] for arm in ARM_NAMES) if both else ()

    def request(self, usual: f.TrainingRequested) -> f.TrainingRequested:
        """The training to request where `usual` is due without an experiment."""
        if self.started is None:
            return usual
        second = self.second_due or self.training == "b"
        arm: f.ArmName = "b" if second else "a"
        base = self.first if second and self.first else usual
        own = self.networks.get(arm)
        goes_on = own is not None and own.architecture == base.architecture
        return replace(
            base,
            settings_version=usual.settings_version,
            reason=usual.reason,
            parent=own.model if own and goes_on else base.parent,
            hyperparameters=base.hyperparameters | getattr(self.started, arm),
            experiment=self.id,
            arm=arm,
        )


ARMS = Fold(Arms)
ARMS.keeps(f.TrainingTimedOut, timed_out=lambda fact: fact.ticket)


@ARMS.evolves
def started(item: Arms, fact: f.ExperimentStarted, context: Context) -> Arms:
    # one at a time: of two that were started at once, the first counts
    return item if item.started else Arms(id=context.position, started=fact)


@ARMS.evolves
def ended(item: Arms, fact: f.ExperimentEnded) -> Arms:
    return Arms(timed_out=item.timed_out) if fact.experiment == item.id else item


@ARMS.evolves
def requested(item: Arms, fact: f.TrainingRequested) -> Arms:
    if not item.id:
        return item
    if fact.experiment != item.id or fact.arm is None:  # with other configs: no pair
        return replace(item, first=None, training=None)
    first = fact if fact.arm == "a" else item.first
    return replace(item, first=first, training=fact.arm)


@ARMS.evolves
def trained(item: Arms, fact: f.TrainingFinished) -> Arms:
    first, arm = item.first, item.training
    if first is None or arm is None or fact.ticket == item.timed_out:
        return item
    network = Network(model=fact.model, architecture=first.architecture)
    item = replace(item, training=None, networks=item.networks | {arm: network})
    return replace(item, first=None) if arm == "b" else item


@ARMS.evolves
def match_requested(item: Arms, fact: f.EvaluationRequested) -> Arms:
    if fact.purpose != "experiment" or fact.candidate.model is None:
        return item
    return replace(item, asked=(*item.asked, fact.candidate.model))


def match_due(config: str, arms: Arms, context: Context) -> f.EvaluationRequested | None:
    """The match between the networks of a finished pair, None if none is to be requested."""
    settings, pair = context.settings, arms.pair
    if arms.started is None or not pair or _alike(pair) or pair[1].model in arms.asked:
        return None
    a, b = (
        network_seat(
            network.model,
            settings.evaluation.simulations,
            kind=kind_of(network.architecture),
            seats=f.seats_of(config),
        )
        for network in pair
    )
    return f.EvaluationRequested(
        **context.basis(config),
        generation=0,
        candidate=b,
        opponent=a,
        purpose="experiment",
        round=len(arms.asked),
        starts=arms.started.starts,
        seed=seed_from(settings.seed, config, "experiment", arms.id, len(arms.asked)),
    )


class Experiment(Struct, frozen=True, kw_only=True):
    """The experiment of a config, and the results of its pairs."""

    arms: Arms = Arms()
    answered: int = 0
    scores: Scores = ()
    games: int = 0
    failures: int = 0
    """of the training in progress, in a row"""
    tickets: tuple[str, ...] = ()
    """counted"""


DECIDER = Decider("experiments", Configs[Experiment], parts=(ARMS,))


@DECIDER.evolves
def over(item: Experiment, fact: f.ExperimentEnded) -> Experiment:
    return item if item.arms.started else Experiment(arms=item.arms)


@DECIDER.evolves
def attempted(item: Experiment, fact: f.TrainingEnded) -> Experiment:
    failed = not isinstance(fact, f.TrainingFinished)
    return replace(item, failures=item.failures + 1 if failed and item.arms.training else 0)


@DECIDER.evolves
def match_ended(
    item: Experiment, fact: f.Score | f.EvaluationFailed, context: Context
) -> Experiment:
    if not _is_answer(item, fact, context):
        return item
    item = replace(item, tickets=noted(item.tickets, fact.ticket), answered=item.answered + 1)
    if isinstance(fact, f.EvaluationFailed):
        return item
    return replace(item, scores=merged(item.scores, fact.scores), games=item.games + fact.games)


@DECIDER.decides
def on_training(
    item: Experiment, fact: f.TrainingEnded, context: Context
) -> Iterator[f.ExperimentEnded]:
    """End an experiment with a training that fails whenever it is tried, or without effect."""
    if item.failures >= ATTEMPTS_MAX:
        reason = getattr(fact, "reason", "it was silent for too long")
        yield _end(item, fact.config, "failed", None, f"a training failed: {reason}", context)
    elif item.arms.pair and _alike(item.arms.pair):
        why = "the settings make no difference: both arms made the same network"
        yield _end(item, fact.config, "undecided", None, why, context)


@DECIDER.decides
def on_score(
    item: Experiment, fact: f.Score | f.EvaluationFailed, context: Context
) -> Iterator[f.ExperimentEnded]:
    """End an experiment whose test is decided, or whose pairs are all played."""
    started = item.arms.started
    if started is None or fact.ticket not in item.tickets[-1:]:
        return
    last = item.answered >= started.pairs
    if not item.scores:
        if last:
            yield _end(item, fact.config, "failed", None, "every match failed", context)
        return
    evidence = evidence_of(item.scores, item.games, context.settings.promotion, fact.config)
    won = f"b scores {evidence.score:.1%} of {item.games} games over {item.answered} pairs"
    llr = f"llr {evidence.llr:.2f}"
    if item.answered >= min(PAIRS_MIN, started.pairs):
        if evidence.llr >= evidence.upper:
            why = f"{won}: {llr} reached {evidence.upper:.2f}"
            yield _end(item, fact.config, "b", evidence, why, context)
            return
        if evidence.llr <= evidence.lower:
            why = f"{won}: {llr} fell to {evidence.lower:.2f}"
            yield _end(item, fact.config, "a", evidence, why, context)
            return
    if last:
        yield _end(item, fact.config, "undecided", evidence, f"{won}: {llr}", context)


def _is_answer(item: Experiment, fact: f.Score | f.EvaluationFailed, context: Context) -> bool:
    if fact.candidate_model not in item.arms.asked or fact.ticket in item.tickets:
        return False
    if fact.purpose != "experiment":
        return False
    return isinstance(fact, f.EvaluationFailed) or counts(fact, context)


def _alike(pair: tuple[Network, ...]) -> bool:
    return pair[0].model == pair[1].model


def _end(
    item: Experiment,
    config: str,
    verdict: f.ExperimentVerdict,
    evidence: f.Evidence | None,
    why: str,
    context: Context,
) -> f.ExperimentEnded:
    network = item.arms.networks.get("b" if verdict == "b" else "a")
    return f.ExperimentEnded(
        **context.basis(config),
        experiment=item.arms.id,
        verdict=verdict,
        network=network.model if network else None,
        evidence=evidence,
        why=why,
    )
