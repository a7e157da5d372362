"""Experiments: two arms of settings of training, compared by the networks that they make."""

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.evaluation import Evidence
from ringrift.events.facts.training import Hyperparameters
from ringrift.events.facts.vocabulary import *

PAIRS_MAX = 64
ExperimentVerdict = Literal["a", "b", "undecided", "failed", "stopped"]


class ExperimentStarted(ConfigDecision, subject="experiment.{config}.started"):
    """From the next training of a config on, each is requested twice, with the settings of arm `a`
    and of arm `b`, to try the `hypothesis`; the networks of a pair play `starts` starts.

    `a` and `b` map the dotted names of settings to text, as on the command line. The experiment
    ends after `pairs` pairs at the latest."""

    hypothesis: Text
    a: Hyperparameters
    b: Hyperparameters
    pairs: Annotated[int, Meta(ge=1, le=PAIRS_MAX)] = 4
    starts: Annotated[int, Meta(ge=1, le=10_000)] = 64

    def __post_init__(self) -> None:
        law(self.a.keys() == self.b.keys(), "both arms name the same settings")


class ExperimentEnded(ConfigDecision, subject="experiment.{config}.ended"):
    """Verdict on the experiment that began at the position `experiment`: `b` makes stronger
    networks, or does not (`a`), by the sequential test `evidence`; or `undecided`, `failed`, or
    `stopped` by a person. Trainings go on from `network`, that of the better arm, if it has one."""

    experiment: Position
    verdict: ExperimentVerdict
    network: Sha256 | None
    evidence: Evidence | None
    why: Text
