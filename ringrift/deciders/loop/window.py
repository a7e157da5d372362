"""The samples that a training may see: the newest shards of a config up to the size of the window.

A shard whose games are retracted or reanalysed is superseded by another one in its place. Samples
of better shards weigh more."""

from ringrift.deciders.feedback.quality import NEUTRAL
from ringrift.deciders.kit import Fold, Struct, replace
from ringrift.events import facts as f

Shards = tuple[tuple[str, int], ...]
"""(digest, samples), oldest first"""


class Window(Struct, frozen=True, kw_only=True):
    """The shards of a config, and the adjusted quality of those that were assessed, by digest."""

    shards: Shards = ()
    qualities: dict[str, float] = {}


WINDOW = Fold(Window)


@WINDOW.evolves
def exported(window: Window, fact: f.ShardExported) -> Window:
    old, new = fact.supersedes, (fact.digest, fact.samples)
    if old is None:
        return replace(window, shards=(*window.shards, new))
    if not fact.samples:
        return _without(window, old)
    shards = tuple(new if shard[0] == old else shard for shard in window.shards)
    qualities = {fact.digest if name == old else name: q for name, q in window.qualities.items()}
    return Window(shards=shards, qualities=qualities)


@WINDOW.evolves
def retired(window: Window, fact: f.ShardRetired) -> Window:
    return _without(window, fact.digest)


@WINDOW.evolves
def assessed(window: Window, fact: f.QualityAssessed) -> Window:
    return replace(window, qualities={**window.qualities, fact.shard: fact.adjusted})


def newest_shards(shards: Shards, window_samples: int) -> Shards:
    """The newest shards that fit the window, oldest first; at least one."""
    total = 0
    for taken, (_, samples) in enumerate(reversed(shards)):
        total += samples
        if taken and total > window_samples:
            return shards[len(shards) - taken :]
    return shards


def shard_weights(shards: Shards, qualities: dict[str, float], power: float) -> tuple[float, ...]:
    """Weights of the samples of each shard: 1 on the mean over samples, more where the quality is
    better. Empty if all weigh the same."""
    if not power or not shards:
        return ()
    raw = [(qualities.get(digest, NEUTRAL) / NEUTRAL) ** power for digest, _ in shards]
    samples = sum(count for _, count in shards)
    weighted = sum(weight * count for weight, (_, count) in zip(raw, shards, strict=True))
    mean = weighted / samples if samples else 1.0
    return tuple(round(weight / mean, 6) for weight in raw) if mean > 0.0 else ()


def _without(window: Window, digest: str) -> Window:
    return Window(
        shards=tuple(shard for shard in window.shards if shard[0] != digest),
        qualities={name: value for name, value in window.qualities.items() if name != digest},
    )
