"""When is a shard retired? When neither a window nor the training in flight can reach it.

A window takes the newest shards. A shard more than `shard.windows_kept` windows back is retired on
the next tick, and its blob deleted. The games are kept, so a retired shard can be recreated byte
for byte."""

from collections.abc import Iterator

from ringrift.deciders.kit import Configs, Context, Decider, Struct, replace
from ringrift.deciders.loop.window import newest_shards
from ringrift.events import facts as f

RETIRED_MAX = 64
"""shards of a config that are retired on one tick, to keep batches of decisions small"""


class Kept(Struct, frozen=True, kw_only=True):
    """A shard in force."""

    digest: str
    index: int
    samples: int


class Retention(Struct, frozen=True, kw_only=True):
    """The shards of a config, oldest first, and those of the newest training until it finishes."""

    shards: tuple[Kept, ...] = ()
    in_flight: tuple[str, ...] = ()


DECIDER = Decider("retention", Configs[Retention])
DECIDER.keeps(f.TrainingRequested, in_flight=lambda fact: fact.shards)


@DECIDER.evolves
def exported(item: Retention, fact: f.ShardExported) -> Retention:
    new, old = Kept(digest=fact.digest, index=fact.index, samples=fact.samples), fact.supersedes
    if old is None:
        return replace(item, shards=(*item.shards, new))
    return replace(item, shards=tuple(new if one.digest == old else one for one in item.shards))


@DECIDER.evolves
def retired(item: Retention, fact: f.ShardRetired) -> Retention:
    return replace(item, shards=tuple(one for one in item.shards if one.digest != fact.digest))


@DECIDER.evolves
def finished(item: Retention, fact: f.TrainingFinished) -> Retention:
    return replace(item, in_flight=())


@DECIDER.decides
def retire(
    state: Configs[Retention], fact: f.TickRecorded, context: Context
) -> Iterator[f.ShardRetired]:
    """Retire the shards that are out of reach, oldest first."""
    settings = context.settings
    reach = round(settings.training.window_samples * max(1.0, settings.shard.windows_kept))
    for config, item in state.configs.items():
        sizes = tuple((one.digest, one.samples) for one in item.shards)
        count = len(sizes) - len(newest_shards(sizes, reach))
        for one in item.shards[:count][:RETIRED_MAX]:
            if one.digest not in item.in_flight:
                yield f.ShardRetired(
                    **context.basis(config),
                    digest=one.digest,
                    index=one.index,
                    why=f"further back than {reach:,} samples",
                )
