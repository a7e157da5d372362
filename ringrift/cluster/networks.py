"""Networks that a person registers, promotes or rolls back, as facts with a reason."""

from ringrift.cluster.steering import record
from ringrift.consumers.networks.fetching import were_current
from ringrift.errors import CommandError
from ringrift.events import facts as f, type_of
from ringrift.insight.describe import completed, short
from ringrift.insight.models import model_store
from ringrift.insight.models.model_card import weights
from ringrift.learning.families import checkpoint_of
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS, MODEL_BUCKET
from ringrift.nets.header import digest_of

GENERATION = 0
"""of networks that the loop did not train"""


async def register(log: Log, data: bytes, *, source: str, why: str) -> f.ModelRegistered:
    """Store a network and the fact that it exists; it is a candidate from then on.

    `source` says what it comes from. Raises CheckpointError, and CommandError if it is registered
    already."""
    checkpoint = checkpoint_of(data)
    header, model = checkpoint.header, digest_of(data)
    async for known in read.facts(log, f.ModelRegistered, scope=header.config_key):
        if known.event.model == model:
            raise CommandError(f"{short(model)} is registered already: {known.meta.position}")
    fact = f.ModelRegistered(
        config=header.config_key,
        model=model,
        generation=GENERATION,
        architecture=header.architecture,
        encoder=header.encoder,
        parameters=weights(checkpoint),
        parents=header.parents,
        ticket=f"import-{short(model)}",
        source=source,
        why=why,
    )
    await Blobs(log).put(MODEL_BUCKET, data)
    await record(log, fact)
    return fact


async def promote(log: Log, digits: str, why: str) -> f.ModelPromoted:
    """Make a network in the log the incumbent; one that was derived is registered first. Raises
    CommandError, and ConcurrencyError if another is promoted at the same time."""
    kinds = f.ModelDerived, f.ModelRegistered
    known: dict[str, f.ModelMade] = {}
    async for made, _ in read.facts(log, *kinds):
        assert isinstance(made, kinds)
        if not isinstance(known.get(made.model), f.ModelRegistered):
            known[made.model] = made
    made = known[completed(digits, known)]
    model, config = made.model, made.config
    previous = await model_store.incumbent(log, config)
    if model == previous:
        raise CommandError(f"{short(model)} is the current network of {config} already")
    await _require_stored(log, model)
    if isinstance(made, f.ModelDerived):
        data = await Blobs(log).get(MODEL_BUCKET, model)
        await register(log, data, source=made.method, why=why)
    expected = await _newest(log, f.ModelPromoted, config)
    _, version = await read.settings_in_force(log)
    fact = f.ModelPromoted(
        config=config,
        generation=made.generation,
        model=model,
        previous=previous,
        evidence=None,
        why=why,
        settings_version=version,
    )
    await record(log, fact, expected)
    return fact


async def roll_back(log: Log, config: str, digits: str | None, why: str) -> f.ModelRolledBack:
    """Make an earlier incumbent the incumbent again, by default the one before. Raises
    CommandError, and ConcurrencyError if another is promoted at the same time."""
    current = await model_store.incumbent(log, config)
    if current is None:
        raise CommandError(f"no network of {config} was promoted yet: see `ringrift model list`")
    expected = await _newest(log, f.ModelPromoted, config)
    earlier = [model for model, _ in await were_current(log, config, before=current)]
    if not earlier:
        raise CommandError(f"no network of {config} was current before {short(current)}")
    model = (
        completed(digits, earlier, f"that were current before {short(current)}")
        if digits
        else earlier[0]
    )
    await _require_stored(log, model)
    _, version = await read.settings_in_force(log)
    fact = f.ModelRolledBack(
        config=config, model=current, current=model, elo_drop=0.0, why=why, settings_version=version
    )
    await record(log, fact, expected)
    return fact


async def _newest(log: Log, kind: type[f.Fact], config: str) -> Expect:
    """The expectation that no later fact of a kind is stored."""
    subject = type_of(kind).filter(config)
    newest = await log.last(EVENTS, subject)
    return Expect(subject, newest.seq if newest else 0)


async def _require_stored(log: Log, model: str) -> None:
    if not await Blobs(log).has(MODEL_BUCKET, model):
        raise CommandError(f"{short(model)} is not stored any more: `ringrift model keep FILE`")
