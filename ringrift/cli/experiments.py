"""`experiment`: two arms of settings of training, side by side in one log."""

from operator import attrgetter
from typing import Annotated

from cyclopts import Parameter

from ringrift.cli.common import (
    HERE,
    TABLE,
    Assignments,
    Config,
    PositiveInt,
    Session,
    Tabular,
    opened,
    show,
    show_rows,
)
from ringrift.cluster import steering
from ringrift.errors import CommandError
from ringrift.events import facts
from ringrift.events.settings import HYPERPARAMETERS, groups_of
from ringrift.events.settings_sources import from_arguments, load
from ringrift.insight.describe import one_line, table
from ringrift.insight.experiments import Experiment, experiments, settings_text
from ringrift.insight.settings_guide import in_text
from ringrift.log.protocol import Log
from ringrift.log.read import latest, settings_in_force


async def start(
    *,
    config: Config,
    b: Annotated[Assignments, Parameter(name="--b")],
    a: Annotated[Assignments, Parameter(name="--a")] = (),
    hypothesis: str,
    pairs: PositiveInt = 4,
    starts: PositiveInt = 64,
    session: Session = HERE,
) -> None:
    """Try other settings of training; each training is made twice, and the networks play.

    Args:
        config: The config whose trainings take part.
        b: A setting to try, such as training.learning_rate=0.004; may be repeated.
        a: The same of the arm that it is compared with; by default as in force.
        hypothesis: What you expect, in words; it is recorded.
        pairs: Pairs of trainings after which it ends undecided.
        starts: Starts that the networks of a pair play, each once per seat.
    """
    tried, against = from_arguments(b), from_arguments(a)
    if unknown := sorted((tried.keys() | against.keys()) - HYPERPARAMETERS):
        known = ", ".join(sorted(HYPERPARAMETERS))
        raise CommandError(f"{', '.join(unknown)} cannot be tried; these can: {known}")
    async with opened(session) as log:
        settings, version = await settings_in_force(log)
        if config not in settings.configs:
            raise CommandError(f"{config} is not trained: `ringrift up --config {config}` does it")
        if config in groups_of(settings.training.together):
            raise CommandError(f"{config} is trained with others: see training.together")
        if item := _running(await experiments(log), config):
            raise CommandError(f"{item.id} is running: `ringrift experiment stop` ends it")
        tuned = await latest(log, facts.HyperparametersAdjusted, config)
        usual = load(tuned.event.values if tuned else {}, base=settings)
        arms = [against, tried]
        for arm in arms:
            for name in (*tried, *against):
                arm.setdefault(name, in_text(attrgetter(name)(usual)))
            load(arm, base=settings)  # refuses bad values
        if arms[0] == arms[1]:
            raise CommandError(f"{settings_text(tried)} is in force already; try another value")
        fact = facts.ExperimentStarted(
            config=config,
            hypothesis=hypothesis,
            a=arms[0],
            b=arms[1],
            pairs=pairs,
            starts=starts,
            settings_version=version,
        )
        seq = await steering.record(log, fact)
    text = f"EVENTS/{seq}: the next {pairs} trainings of {config} at most are made twice"
    show({"experiment": f"EVENTS/{seq}", "a": arms[0], "b": arms[1]}, session.json, text)


async def list_experiments(*, config: Config | None = None, session: Tabular = TABLE) -> None:
    """List all experiments and their verdicts.

    Args:
        config: Only those of this config.
    """
    async with opened(session) as log:
        found = [item for item in await experiments(log) if config in (None, item.config)]
    rows = [
        {
            "experiment": item.id,
            "config": item.config,
            "hypothesis": one_line(item.hypothesis),
            "b": settings_text(item.b),
            "pairs": len(item.pairs),
            "verdict": item.verdict,
        }
        for item in found
    ]
    columns = ("experiment", "config", "hypothesis", "b", ">pairs", "verdict")
    show_rows(session, found, rows, table(columns, (row.values() for row in rows)))


async def show_experiment(experiment: str, /, *, session: Session = HERE) -> None:
    """Show the arms of an experiment, its matches, its verdict, and how to adopt the better arm.

    Args:
        experiment: Its position, such as EVENTS/120.
    """
    async with opened(session) as log:
        item = await _known(log, experiment)
    document = {"verdict": item.verdict, "adopting": item.adopting, "experiment": item}
    show(document, session.json, "\n".join(item.text()))


async def stop(*, config: Config, why: str, session: Session = HERE) -> None:
    """End the experiment of a config; its trainings go on with the settings in force.

    Args:
        config: The config whose experiment to end.
        why: The reason, which is recorded.
    """
    async with opened(session) as log:
        item = _running(await experiments(log), config)
        if item is None:
            raise CommandError(f"no experiment of {config} is running")
        _, version = await settings_in_force(log)
        fact = facts.ExperimentEnded(
            config=config,
            experiment=item.id,
            verdict="stopped",
            network=None,
            evidence=None,
            why=why,
            settings_version=version,
        )
        await steering.record(log, fact)
    show({"stopped": item.id}, session.json, f"{item.id} is stopped")


def _running(found: list[Experiment], config: str) -> Experiment | None:
    return next((item for item in found if item.config == config and not item.ended), None)


async def _known(log: Log, name: str) -> Experiment:
    found = {item.id: item for item in await experiments(log)}
    position = f"EVENTS/{name}" if name.isdecimal() else name
    if position not in found:
        raise CommandError(f"no experiment began at {name}: see `ringrift experiment list`")
    return found[position]
