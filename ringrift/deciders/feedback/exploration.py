"""How much does self-play explore? More after a loss anomaly or on a plateau, by severity; less
again as the config gets stronger.

The boost of a config multiplies the plies that self-play plays with noise. It is at least 1, which
gives the plies of the settings. It changes once a generation, by the pace of the config: -2 % while
fast (successful exploration is kept), -10 % steady, 0 stalled, +5 % regressing (requirement
G13.08). Generations are counted by their verdicts."""

from collections.abc import Iterator

from ringrift.deciders.kit import Configs, Context, Decider, Struct
from ringrift.events import facts as f

USUAL = 1.0
CHANGE_MIN = 0.005
"""smaller changes of a boost are not recorded: they are worth less than a ply"""

Adjusted = Iterator[f.ExplorationAdjusted]


class Exploration(Struct, frozen=True, kw_only=True):
    """The boost of a config, at least 1, and its pace, None while unknown."""

    boost: float = USUAL
    pace: f.Pace | None = None


DECIDER = Decider("exploration", Configs[Exploration])
DECIDER.keeps(f.VelocityChanged, pace=lambda fact: fact.pace)
DECIDER.keeps(f.ExplorationAdjusted, boost=lambda fact: fact.boost)


@DECIDER.decides
def after_training(item: Exploration, fact: f.LossFinding, context: Context) -> Adjusted:
    """Raise the boost after an anomaly or on a plateau."""
    anomaly, settings = isinstance(fact, f.LossAnomalyDetected), context.settings.exploration
    factor = (settings.anomaly if anomaly else settings.plateau).of(fact.severity)
    return _multiplied(item, fact.config, factor, "loss anomaly" if anomaly else "plateau", context)


@DECIDER.decides
def after_generation(item: Exploration, fact: f.Verdict, context: Context) -> Adjusted:
    """Change the boost by the pace of the config."""
    factor = context.settings.exploration.decay.of(item.pace)
    reason: f.ExplorationReason = "regression" if item.pace == "regressing" else "decay"
    return _multiplied(item, fact.config, factor, reason, context)


def plies(usual: int, boost: float) -> int | None:
    """Plies with noise under a boost; None if it does not change them."""
    boosted = round(usual * boost)
    return None if boosted == usual else boosted


def _multiplied(
    item: Exploration, config: str, factor: float, reason: f.ExplorationReason, context: Context
) -> Adjusted:
    boost = max(min(item.boost * factor, context.settings.exploration.boost_max), USUAL)
    if boost != item.boost and (boost == USUAL or abs(boost - item.boost) >= CHANGE_MIN):
        yield f.ExplorationAdjusted(
            **context.basis(config), boost=boost, previous=item.boost, reason=reason
        )
