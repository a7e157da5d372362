"""Which configs deserve more games? Each has a weight, usually 1, that changes with what happens to
it and to related configs.

- promotion: back to 1, since the config is no longer held up
- regression: undoes that in proportion to the Elo drop, towards the weight before the promotion, at
  least `regressed`
- loss anomaly, stall, degraded quality: more, by severity; the end of the last two undoes it
- outage: configs below 1 return to 1, since an hour without a quorum costs the least played configs
  most

A change carries over to related configs as the power 0.8, 0.6 or 0.4 of its factor (requirement
G12.03): same family of boards, same board with other seats, other family. The last applies only to
a config that is not stronger, so that strong ones are not disturbed."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.kit import Context, Decider, Struct, replace
from ringrift.events import facts as f
from ringrift.events.settings import CurriculumSettings

FAMILIES = {"square8": "square", "square19": "square", "hex8": "hex", "hexagonal": "hex"}
USUAL = 1.0

ByConfig = dict[str, float]
Reweighted = Iterator[f.CurriculumReweighted]


class Curriculum(Struct, frozen=True, kw_only=True):
    """By config: weight, weight before the last promotion, Elo above the heuristic where it is
    known."""

    weights: ByConfig = {}
    before: ByConfig = {}
    gaps: ByConfig = {}
    ticked: datetime | None = None
    silent_seconds: float = 0.0
    """between the last two ticks"""


DECIDER = Decider("curriculum", Curriculum)


@DECIDER.evolves
def switched(state: Curriculum, fact: f.SettingsChanged) -> Curriculum:
    weights = {config: state.weights.get(config, USUAL) for config in fact.settings.configs}
    return replace(state, weights=weights)


@DECIDER.evolves
def promoted(state: Curriculum, fact: f.ModelPromoted) -> Curriculum:
    weight = state.weights.get(fact.config, USUAL)
    return replace(state, before={**state.before, fact.config: weight})


@DECIDER.evolves
def measured(state: Curriculum, fact: f.VelocityChanged) -> Curriculum:
    return replace(state, gaps={**state.gaps, fact.config: fact.elo_above_heuristic})


@DECIDER.evolves
def ticked(state: Curriculum, fact: f.TickRecorded, context: Context) -> Curriculum:
    silent = (context.time - state.ticked).total_seconds() if state.ticked else 0.0
    return replace(state, ticked=context.time, silent_seconds=silent)


@DECIDER.evolves
def reweighted(state: Curriculum, fact: f.CurriculumReweighted) -> Curriculum:
    return replace(state, weights={**state.weights, **fact.weights})


@DECIDER.decides
def on_promotion(state: Curriculum, fact: f.ModelPromoted, context: Context) -> Reweighted:
    factor = USUAL / state.weights.get(fact.config, USUAL)
    return _moved(state, fact.config, factor, "promotion", context)


@DECIDER.decides
def on_regression(state: Curriculum, fact: f.RegressionDetected, context: Context) -> Reweighted:
    settings, weight = context.settings, state.weights.get(fact.config, USUAL)
    # the promotion set the weight to 1, as if the config were no longer held up
    amplitude = min(1.0, fact.elo_drop / settings.regression.elo.critical)
    target = max(state.before.get(fact.config, USUAL), settings.curriculum.regressed)
    factor = max(target / weight, 1.0) ** amplitude
    return _moved(state, fact.config, factor, "regression", context, amplitude)


@DECIDER.decides
def on_anomaly(state: Curriculum, fact: f.LossAnomalyDetected, context: Context) -> Reweighted:
    factor = context.settings.curriculum.anomaly.of(fact.severity)
    return _moved(state, fact.config, factor, "loss anomaly", context)


@DECIDER.decides
def on_progress(state: Curriculum, fact: f.ProgressChange, context: Context) -> Reweighted:
    factor = context.settings.curriculum.stalled
    if isinstance(fact, f.ProgressStalled):
        return _moved(state, fact.config, factor, "stall", context)
    return _moved(state, fact.config, 1.0 / factor, "progress", context)


@DECIDER.decides
def on_quality(state: Curriculum, fact: f.QualityChange, context: Context) -> Reweighted:
    factor = context.settings.curriculum.degraded
    if isinstance(fact, f.QualityRecovered):
        factor = 1.0 / factor
    return _moved(state, fact.config, factor, "quality", context)


@DECIDER.decides
def on_outage(state: Curriculum, fact: f.TickRecorded, context: Context) -> Reweighted:
    raised = {config: max(weight, USUAL) for config, weight in state.weights.items()}
    outage = state.silent_seconds >= context.settings.curriculum.outage_seconds
    if outage and raised != state.weights:
        yield _fact(None, "outage", 1.0, raised, context)


def kinship(source: str, target: str, settings: CurriculumSettings) -> float:
    """How much of a change of one config carries over to another, 0 to 1, apart from the guard for
    stronger configs."""
    (board, seats), (other_board, other_seats) = source.split("_"), target.split("_")
    if board == other_board:
        return 1.0 if seats == other_seats else settings.same_board
    if seats != other_seats:
        return 0.0
    related = FAMILIES[board] == FAMILIES[other_board]
    return settings.same_family if related else settings.other_family


def carried(source: str, target: str, gaps: ByConfig, settings: CurriculumSettings) -> float:
    """`kinship`, but 0 to another family of boards unless both gaps are known and the target is not
    stronger."""
    related = FAMILIES[source.split("_")[0]] == FAMILIES[target.split("_")[0]]
    not_stronger = source in gaps and target in gaps and gaps[target] <= gaps[source]
    return kinship(source, target, settings) if related or not_stronger else 0.0


def _moved(
    state: Curriculum,
    config: str,
    factor: float,
    reason: f.WeightReason,
    context: Context,
    amplitude: float = 1.0,
) -> Reweighted:
    """Every weight times its share of `factor`, where that changes one; nothing for a config that
    is switched off."""
    if config not in state.weights:
        return
    settings, moved = context.settings.curriculum, {}
    for name, weight in state.weights.items():
        raised = weight * factor ** carried(config, name, state.gaps, settings)
        moved[name] = min(max(raised, settings.weight_min), settings.weight_max)
    if moved != state.weights:
        yield _fact(config, reason, amplitude, moved, context)


def _fact(
    config: str | None,
    reason: f.WeightReason,
    amplitude: float,
    weights: ByConfig,
    context: Context,
) -> f.CurriculumReweighted:
    return f.CurriculumReweighted(
        config=config,
        reason=reason,
        amplitude=amplitude,
        weights=weights,
        settings_version=context.settings_version,
    )
