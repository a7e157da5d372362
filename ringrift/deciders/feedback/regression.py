"""Is the current network weaker than an earlier one? A sequential test errs now and then; the
ratings show it when both networks have played on.

A severity is reached when the drop is large enough, exceeds its error, and both networks have
played enough. Once four nodes have played matches of the config, it must be reached without the
matches of any f of 3f + 1 (`by_node`): a rollback is not the word of one evaluator. It only rises
until the regression is cleared: by a drop below half of the lowest threshold, or by another current
network."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ringrift.deciders.feedback.by_node import BY_NODE, ByNode, tables_without
from ringrift.deciders.kit import Configs, Context, Decider, Struct, replace
from ringrift.deciders.loop.rating import as_tried
from ringrift.events import facts as f
from ringrift.events.participants import MODEL_DIGITS
from ringrift.events.settings import RegressionSettings

Findings = Iterator[f.RegressionDetected | f.RegressionCleared]
SEVERITIES: tuple[f.Severity, ...] = ("minor", "major", "critical")
MODELS_MAX = 16
"""networks that are remembered after they were current"""


class Regression(Struct, frozen=True, kw_only=True):
    """Networks of a config that became current, the current one last, and the reported
    regression."""

    models: tuple[str, ...] = ()
    level: f.Severity | None = None
    of: str | None = None
    """network that the regression was reported of"""
    by_node: ByNode = ByNode()


class Drop(NamedTuple):
    """Elo by which the current network is below the best earlier one, with its standard error, and
    the network to roll back to."""

    elo: float
    error: float
    best: str
    good: str


DECIDER = Decider("regression", Configs[Regression], parts=(BY_NODE,))
DECIDER.keeps(f.RegressionDetected, level=lambda fact: fact.severity, of=lambda fact: fact.model)


@DECIDER.evolves
def promoted(item: Regression, fact: f.ModelPromoted) -> Regression:
    # a network that becomes current again moves to the end
    others = tuple(model for model in item.models if model != fact.model)
    return replace(item, models=(*others, fact.model)[-MODELS_MAX:])


@DECIDER.evolves
def rolled_back(item: Regression, fact: f.ModelRolledBack) -> Regression:
    others = tuple(model for model in item.models if model not in (fact.model, fact.current))
    return replace(item, models=(*others, fact.current))


@DECIDER.evolves
def cleared(item: Regression, fact: f.RegressionCleared) -> Regression:
    return replace(item, level=None, of=None)


@DECIDER.decides
def measure(item: Regression, fact: f.RatingsUpdated, context: Context) -> Findings:
    """Report a regression, a more severe one, or that it is over."""
    settings = context.settings.regression
    ratings = as_tried(fact.ratings, context.settings.evaluation.simulations)
    current = (fact.current or "").partition(":")[0]
    if not (item.models and current == item.models[-1][:MODEL_DIGITS]):
        return  # errors are those of the difference to another incumbent
    drop = drop_of(item.models, ratings, settings)
    if drop is None:
        return
    cleared_below = settings.cleared_below * settings.elo.minor
    if item.level is not None and drop.elo < cleared_below:
        why = f"{drop.elo:.0f} Elo below the best one, cleared below {cleared_below:.0f}"
        yield f.RegressionCleared(**context.basis(fact.config), model=item.models[-1], why=why)
        return
    level = level_of(drop.elo, drop.error, settings)
    if level is None or _rank(level) <= _rank(item.level):
        return
    simulations = context.settings.evaluation.simulations
    most = item.by_node.liars_max(context.settings.evaluation.evaluators)
    others = tables_without(item.by_node, most, fact.config, item.models[-1], simulations)
    level = min((level, *(_level(item, other, context) for other in others)), key=_rank)
    if level is None or _rank(level) <= _rank(item.level):
        return
    yield f.RegressionDetected(
        **context.basis(fact.config),
        severity=level,
        model=item.models[-1],
        best=drop.best,
        rollback_to=drop.good,
        elo_drop=drop.elo,
        standard_error=drop.error,
        liars_max=most,
    )


def _level(item: Regression, table: f.RatingsUpdated, context: Context) -> f.Severity | None:
    settings = context.settings
    ratings = as_tried(table.ratings, settings.evaluation.simulations)
    drop = drop_of(item.models, ratings, settings.regression)
    return level_of(drop.elo, drop.error, settings.regression) if drop else None


def _rank(level: f.Severity | None) -> int:
    return SEVERITIES.index(level) if level else -1


@DECIDER.decides
def clear(item: Regression, fact: f.IncumbentChanged, context: Context) -> Findings:
    """A regression ends with its network."""
    if item.of is not None and item.of != fact.current:
        promotion = isinstance(fact, f.ModelPromoted)
        yield f.RegressionCleared(
            **context.basis(fact.config),
            model=item.of,
            why="a stronger network was promoted" if promotion else "rolled back",
        )


def drop_of(
    models: tuple[str, ...], ratings: Mapping[str, f.Rating], settings: RegressionSettings
) -> Drop | None:
    """The last of `models`, the incumbent of the table, against the earlier ones, by their ratings
    in trials; None with too few games."""
    rows = {model: row for model, row in ratings.items() if row.games >= settings.games_min}
    known = [(model, rows[model[:12]]) for model in models if model[:12] in rows]
    if len(known) < 2 or known[-1][0] != models[-1]:
        return None
    *before, (_, now) = known
    best, top = max(before, key=lambda pair: pair[1].elo)
    good = next(model for model, row in reversed(before) if row.elo > top.elo - settings.elo.minor)
    if top.se_to_current is None:
        return None
    return Drop(elo=top.elo - now.elo, error=top.se_to_current, best=best, good=good)


def level_of(elo: float, error: float, settings: RegressionSettings) -> f.Severity | None:
    """Severity of a drop; None if it is small or within its error."""
    if elo < settings.standard_errors_min * error:
        return None
    return settings.elo.reached(elo)
