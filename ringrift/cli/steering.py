"""`pause`, `resume`, `settings`, `tune` and `breakers`: steering the loop by facts, which outlive
every process."""

import textwrap
import time
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from ringrift.cli.common import (
    HERE,
    TABLE,
    Assignments,
    Config,
    Session,
    Tabular,
    opened,
    show,
    show_rows,
)
from ringrift.cluster import steering
from ringrift.deciders.fleet.breaker import node_target
from ringrift.errors import CommandError
from ringrift.events import facts
from ringrift.events.settings import FIRST, HYPERPARAMETERS
from ringrift.events.settings_sources import from_arguments, load
from ringrift.insight.describe import one_line
from ringrift.insight.settings_guide import Explanation, explained, in_text
from ringrift.log.read import latest, settings_in_force
from ringrift.runtime.breakers import SharedBreakers
from ringrift.runtime.controls import pauses_in_force, quarantines_in_force, resume_command

Kind: TypeAlias = Literal["all", "selfplay", "training", "evaluation"]

EXPLANATION_WIDTH = 76


async def pause(
    *, config: Config | None = None, kind: Kind = "all", why: str, session: Session = HERE
) -> None:
    """Stop new work; work in progress is finished.

    Args:
        config: Pause only this config.
        kind: Pause only this kind of work.
        why: The reason, shown in the status.
    """
    scope = config or "all"
    async with opened(session) as log:
        before = await pauses_in_force(log)
        reason = before.get(f"{scope}/{kind}")
        if reason is None:
            await steering.record(log, facts.PipelinePaused(scope=scope, kind=kind, why=why))
            text = f"{_name(scope, kind)} is paused; tickets in progress are finished"
        else:
            text = f"{_name(scope, kind)} is paused already: {one_line(reason)}"
        show({"paused": await pauses_in_force(log)}, session.json, text)


async def resume(
    *,
    config: Config | None = None,
    kind: Kind = "all",
    all: bool = False,
    why: str = "",
    session: Session = HERE,
) -> None:
    """End a pause of the same config and kind, or all pauses.

    Args:
        config: End a pause of this config.
        kind: End a pause of this kind of work.
        all: End every pause.
        why: The reason, which is recorded.
    """
    async with opened(session) as log:
        before = await pauses_in_force(log)
        ended = sorted(before) if all else [f"{config or 'all'}/{kind}"]
        if not all and ended[0] not in before:
            others = [f"`{resume_command(what)}` ends the pause {what}" for what in sorted(before)]
            raise CommandError(
                f"{_name(config or 'all', kind)} is not paused: {'; '.join(others) or 'nothing is'}"
            )
        for what in ended:
            scope, _, paused = what.partition("/")
            fact = facts.PipelineResumed(scope=scope, kind=msgspec.convert(paused, Kind), why=why)
            await steering.record(log, fact)
        text = f"resumed: {', '.join(ended) or 'nothing was paused'}"
        show({"paused": await pauses_in_force(log)}, session.json, text)


def _name(scope: str, kind: str) -> str:
    what = "all work" if kind == "all" else kind
    return f"{what} of {'all configs' if scope == 'all' else scope}"


async def settings(
    name: str = "",
    /,
    *,
    explain: bool = False,
    set: Assignments = (),
    settings: Path | None = None,
    why: str = "ringrift settings",
    session: Tabular = TABLE,
) -> None:
    """Print the settings in force; with --set or --settings, change them first.

    Args:
        name: Explain only this setting or group, such as training or promotion.elo1.
        explain: Print what each setting means, its values and its default.
        set: Change one setting, such as training.batch=128; may be repeated.
        settings: Change the settings in this JSON file.
        why: The reason, which is recorded.
    """
    given = from_arguments(set)
    file = steering.read_settings(settings)
    async with opened(session) as log:
        chosen, version = await settings_in_force(log)
        if given or file is not None:
            base = chosen if version else FIRST
            chosen = steering.with_known_architectures(load(given, file=file, base=base))
            await steering.apply_settings(log, chosen, why)
    if explain or name:
        found = explained(chosen, name)
        show_rows(session, found, found, *(f"{_explanation(item)}\n" for item in found))
        return
    if session.form in ("csv", "parquet"):
        raise CommandError(f"--format {session.form} is for settings with --explain or a name")
    show(chosen, session.json, msgspec.json.format(msgspec.json.encode(chosen), indent=2).decode())


def _explanation(item: Explanation) -> str:
    """The setting with its value, what it means, and what it may be."""
    lines = textwrap.wrap(item.meaning, EXPLANATION_WIDTH)
    default = in_text(item.default) or "nothing"
    changed = f"; the default is {default}" if item.in_force != item.default else ", the default"
    lines.append(f"value: {item.values}")
    text = textwrap.indent("\n".join(lines), "    ")
    return f"{item.name} = {in_text(item.in_force) or 'nothing'}{changed}\n{text}"


async def tune(
    *,
    config: Config,
    set: Assignments = (),
    reset: bool = False,
    priority: float | None = None,
    why: str = "by hand",
    session: Session = HERE,
) -> None:
    """Show the hyperparameters and the priority of one config, or change them from now on.

    Args:
        config: The config to tune.
        set: Change one, such as training.learning_rate=0.001; may be repeated.
        reset: Return to the settings, except for names given with --set.
        priority: Factor on its part of self-play, within the limits of shares; 1 is the usual one.
        why: The reason, which is recorded.
    """
    given = from_arguments(set)
    if unknown := sorted(given.keys() - HYPERPARAMETERS):
        known = ", ".join(sorted(HYPERPARAMETERS))
        names = ", ".join(unknown)
        raise CommandError(f"{names} cannot be tuned for one config; these can: {known}")
    async with opened(session) as log:
        current, version = await settings_in_force(log)
        factor_of = dict(one.split("=") for one in current.scheduling.priorities)
        if priority is not None:
            factor_of[config] = f"{priority:.3f}".rstrip("0").rstrip(".")
            wanted = [f"{name}={by}" for name, by in factor_of.items() if by != "1"]
            document = msgspec.json.encode({"scheduling": {"priorities": wanted}})
            current = load(file=document, base=current)
            version = await steering.apply_settings(log, current, why)
        last = await latest(log, facts.HyperparametersAdjusted, config)
        before = last.event if last else None
        values, factors = (before.values, before.factors) if before and not reset else ({}, {})
        fact = facts.HyperparametersAdjusted(
            config=config,
            values={**values, **given},
            why=why,
            settings_version=version,
            factors={name: factor for name, factor in factors.items() if name not in given},
        )
        load(fact.values, base=current)  # refuses bad values
        if given or reset:
            await steering.record(log, fact)
            before = fact
    reason = f" ({one_line(before.why)})" if before and before.values else ""
    usual = factor_of.get(config, "1")
    shown = {"config": config, "values": fact.values, "factors": fact.factors}
    priority_text = "" if usual == "1" else f"; {usual} times its usual priority"
    text = f"{config}: {_tuned(fact)}{reason}{priority_text}"
    show(shown | {"priority": float(usual)}, session.json, text)


def _tuned(fact: facts.HyperparametersAdjusted) -> str:
    """Names and values, with the factor of those that a decider chose."""
    parts = []
    for name, value in fact.values.items():
        factor = f" ({fact.factors[name]:.2f} of the setting)" if name in fact.factors else ""
        parts.append(f"{name}={value}{factor}")
    return ", ".join(parts) or "as in the settings"


async def list_breakers(*, session: Tabular = TABLE) -> None:
    """List the quarantined nodes and targets, and why each is."""
    async with opened(session) as log:
        breakers = SharedBreakers(log)
        await breakers.load()
    found = breakers.all()
    lines = [
        f"{name}  {item.state}, {item.failures} failures, "
        f"retried in {max(0.0, item.until - time.time()):.0f} s: {one_line(item.why)}"
        for name, item in sorted(found.items())
    ]
    rows = [{"target": name, **msgspec.to_builtins(item)} for name, item in sorted(found.items())]
    show_rows(session, found, rows, "\n".join(lines) or "no breaker is open")


async def reset_breaker(
    target: str, /, *, why: str = "reset by hand", session: Session = HERE
) -> None:
    """Use a node or target again at once, also a node that was quarantined for its games.

    Args:
        target: As `ringrift breakers list` prints it, such as node-gpu1.
        why: The reason, which is recorded.
    """
    async with opened(session) as log:
        breakers = SharedBreakers(log)
        await breakers.load()
        node = target.removeprefix(node_target(""))
        guilty = node in await quarantines_in_force(log)
        if target not in breakers.all() and not guilty:
            raise CommandError(f"no breaker is open for {target}: see `ringrift breakers list`")
        if guilty:
            await steering.record(log, facts.NodeReleased(node=node, why=why))
        if target in breakers.all():
            await breakers.put(target, None)
            await steering.record(log, facts.BreakerReset(target=target, why=why))
    show({"reset": target}, session.json, f"{target} is used again")
