"""Which configs are trained together? Those of a group of the setting `training.together`, which
have one line of networks.

One training of a group runs at a time. That of its first due member has the ticket and names the
windows of the others; each due member has a request of its own, so that its data, attempts and
generations are counted as always. The network is registered once. Every due member puts it on trial
(`ringrift.deciders.loop.adoption`), and promotes it or not.

A due member waits a while for those that will have played their games soon. The windows of members
that are not due take a third of the steps, so that the network does not forget what it learned
there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from ringrift.deciders.context import Context
from ringrift.deciders.loop.attempts import Attempts
from ringrift.deciders.loop.held_back import Readiness
from ringrift.deciders.loop.lineage import Lineage
from ringrift.deciders.loop.progress import Progress
from ringrift.deciders.loop.window import Shards, Window, newest_shards
from ringrift.events import Settings, facts as f
from ringrift.events.settings import TrainingSettings, groups_of

OLDER_SHARE = 1 / 3
"""of the steps of a training, for the windows of members that are not due. After 60 steps of
hexagonal alone a network of four small configs lost 0.3 nats of its policy on hex8"""
INTENSITY_MIN = 0.01
"""so that a training has steps"""


class Member(Protocol):
    """What is known of a config (`ringrift.deciders.loop.training.Training`)."""

    @property
    def progress(self) -> Progress: ...
    @property
    def window(self) -> Window: ...
    @property
    def readiness(self) -> Readiness: ...
    @property
    def lineage(self) -> Lineage: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def trained(self) -> int: ...
    @property
    def waiting_since(self) -> datetime | None: ...
    @property
    def planned_at(self) -> datetime | None: ...


Members = Mapping[str, Member]


def lines(configs: Collection[str], settings: TrainingSettings) -> Iterator[tuple[str, ...]]:
    """The configs in their order, each with those of its group."""
    groups = groups_of(settings.together)
    met = set[str]()
    for config in configs:
        if config not in met:
            line = tuple(one for one in groups.get(config, (config,)) if one in configs)
            met.update(line)
            yield line


def awaited(
    line: Sequence[str], ready: Sequence[str], items: Members, context: Context
) -> tuple[str, ...]:
    """The members whose training in flight the due ones wait for, or a while for their games."""
    others = [config for config in line if config not in ready]
    if running := tuple(one for one in others if items[one].attempts.running):
        return running if ready else ()
    due = [items[config] for config in ready]
    since = [item.waiting_since or context.time for item in due if not item.readiness.blocked]
    if not since:
        return ()
    waited = (context.time - min(since)).total_seconds()
    left, kinds = context.settings.training.together_seconds - waited, ("selfplay", "training")
    return tuple(
        config
        for config in others
        if left > 0.0
        and soon_due(items[config], left, context.time)
        and not any(context.pauses.stops(config, kind) for kind in kinds)
    )


def soon_due(item: Member, seconds: float, now: datetime) -> bool:
    """Whether, at their pace, the games of a generation that will be trained on are played within
    this time."""
    progress, planned_at = item.progress, item.planned_at
    waits = item.trained < item.readiness.generation and not item.attempts.failed
    if not waits or planned_at is None or not progress.wanted:
        return False
    played, passed = progress.own_new + progress.ahead_new, (now - planned_at).total_seconds()
    if not played:
        return passed < seconds  # its pace is not known
    return passed * (progress.wanted - played) <= seconds * played


class Start(NamedTuple):
    """What a training begins with, and the configs that take part in it."""

    architecture: str
    parent: str | None
    teacher: str | None
    configs: tuple[str, ...]


def start(lead: str, line: Sequence[str], items: Members, settings: Settings) -> Start:
    """The start of the training of a line: members take part whose next network is of the same
    architecture, and untaught; the parent is the newest network of theirs."""
    architecture, parent, teacher = items[lead].lineage.next(settings, lead)
    if teacher or len(line) == 1:
        return Start(architecture, parent, teacher, (lead,))
    newest, taking_part = -1.0, list[str]()
    for config in (lead, *(one for one in line if one != lead)):
        other, theirs, taught = items[config].lineage.next(settings, config)
        if other != architecture or taught:
            continue
        taking_part.append(config)
        at = items[config].attempts.finished_at
        since = at.timestamp() if at else 0.0
        if theirs and since > newest:
            newest, parent = since, theirs
    return Start(architecture, parent, None, tuple(taking_part))


def older(
    configs: Sequence[str],
    items: Members,
    requests: Sequence[f.TrainingRequested],
    settings: TrainingSettings,
) -> Iterator[f.ConfigWindow]:
    """The windows of the members that are not due; together they take `OLDER_SHARE` of the steps,
    but no more than a usual training of each."""
    passed = sum(one.samples * one.intensity for one in requests)
    known = dict[str, Shards]()
    for name in configs:
        if shards := newest_shards(items[name].window.shards, settings.window_samples):
            known[name] = shards
    for name, shards in known.items():
        samples = sum(count for _, count in shards)
        wanted = passed * OLDER_SHARE / (1.0 - OLDER_SHARE) / len(known) / max(1, samples)
        yield f.ConfigWindow(
            config=name,
            shards=tuple(digest for digest, _ in shards),
            samples=samples,
            intensity=round(min(max(wanted, INTENSITY_MIN), 1.0), 4),
        )
