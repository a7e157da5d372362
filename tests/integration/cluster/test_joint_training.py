"""Two configs of a group have one line of networks in a loop on a real server."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from support import small_loop

from ringrift.events import Fact, Recorded, facts as f
from ringrift.insight.models import model_history, model_lineage
from ringrift.insight.why import causes
from ringrift.learning.families import checkpoint_of
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import MODEL_BUCKET
from ringrift.server.embedded import EmbeddedServer

F = TypeVar("F", bound=Fact)
HEX, SQUARE = CONFIGS = "hex8_2p", "square8_2p"


async def all_of(log: JetStreamLog, kind: type[F]) -> dict[str, Recorded[F]]:
    """The only fact of this kind of each config."""
    found: dict[str, Recorded[F]] = {}
    async for item in read.facts(log, kind):
        config = getattr(item.event, "config", "")
        assert config not in found, f"two {kind.__name__} of {config}"
        found[config] = item
    return found


async def test_a_loop_trains_two_configs_at_once_and_each_promotes_the_network(
    tmp_path: Path,
) -> None:
    server = await EmbeddedServer.start(tmp_path / "server")
    try:
        configs = [word for config in CONFIGS for word in ("--config", config)]
        group = ("--set", f"training.together={HEX}+{SQUARE}", "--generations", "1")
        await small_loop.run(server.url, tmp_path / "node", *configs, *group)
        log = await JetStreamLog.open(server.url, name="test")
        try:
            await _check(log)
        finally:
            await log.close()
    finally:
        await server.stop()


async def _check(log: JetStreamLog) -> None:
    requests = await all_of(log, f.TrainingRequested)
    (lead,) = [item for item in requests.values() if item.event.others]
    other = HEX if lead.event.config == SQUARE else SQUARE
    assert requests[other].event.within == lead.event.config
    started = await all_of(log, f.TrainingStarted)
    assert len({item.event.ticket for item in started.values()}) == 1
    ((config, made),) = (await all_of(log, f.ModelRegistered)).items()
    assert (config, made.event.serves) == (lead.event.config, {other: 1})
    adopted = (await all_of(log, f.ModelAdopted))[other].event
    assert (adopted.model, adopted.generation) == (made.event.model, 1)
    finished = await all_of(log, f.TrainingFinished)
    assert {item.event.model for item in finished.values()} == {made.event.model}
    # each judges it by its own matches
    judged = await all_of(log, f.ModelPromoted) | await all_of(log, f.PromotionRejected)
    models = {name: getattr(item.event, "model", "") for name, item in judged.items()}
    assert models == dict.fromkeys(CONFIGS, made.event.model)
    header = checkpoint_of(await Blobs(log).get(MODEL_BUCKET, made.event.model)).header
    assert set(header.configs) == set(CONFIGS)
    for name, verdict in judged.items():
        text = "\n".join(causes.tree_lines(await causes.why(log, verdict)))
        assert all(word in text for word in ("TrainingRequested", name)), text
    history = await model_history.ModelHistory.read(log)
    promoted = await all_of(log, f.ModelPromoted)
    states = {name: "current" if name in promoted else "rejected" for name in CONFIGS}
    listed = {name: [item["state"] for item in history.documents(name)] for name in CONFIGS}
    assert listed == {name: [state] for name, state in states.items()}
    assert history.elsewhere(made.event.model) == {other: states[other]}
    lineage = (await model_lineage.Archive.open(log)).of(made.event.model)
    assert len(lineage.results) == 4  # random and heuristic, in each config
