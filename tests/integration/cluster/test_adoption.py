"""A loop puts the network of another board on trial, and trains from its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from support import small_loop

from ringrift.cluster import networks
from ringrift.events import Fact, Recorded, draft, facts as f
from ringrift.insight.models import model_history
from ringrift.insight.why import causes
from ringrift.learning.families import checkpoint_of
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.rules import Config
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

F = TypeVar("F", bound=Fact)
LARGE, SMALL = "hexagonal_2p", "hex8_2p"


async def first(log: JetStreamLog, kind: type[F], config: str = SMALL) -> Recorded[F]:
    async for item in read.facts(log, kind, scope=config):
        return item
    raise AssertionError(kind)


async def test_a_loop_adopts_the_network_of_another_board(tmp_path: Path) -> None:
    tower = build("v2-micro", hex_board=True, seed=1)
    data = TowerCheckpoint.save(tower, architecture="v2-micro", config=Config.parse(LARGE))
    model = digest_of(data)
    server = await EmbeddedServer.start(tmp_path / "server")
    try:
        log = await JetStreamLog.open(server.url, name="test")
        try:
            await ensure(log)
            pause = f.PipelinePaused(scope=LARGE, why="its games take long")
            await log.append([draft(pause, cause=None, source="test", key=0)])
            await networks.register(log, data, source="test", why="test")
            await networks.promote(log, model, "test")
            words = ("--config", SMALL, "--generations", "1")
            await small_loop.run(server.url, tmp_path / "node", *words)

            adopted, where = await first(log, f.ModelAdopted)
            assert (adopted.model, adopted.origin) == (model, LARGE)
            match, request = await first(log, f.EvaluationRequested)
            assert (match.purpose, request.cause) == ("heuristic", where.position)
            score, _ = await first(log, f.EvaluationScored)
            assert (score.candidate_model, sum(count for _, count in score.scores)) == (model, 16)
            verdict, judged = await first(log, f.PromotionRejected)  # it has learned nothing
            assert "of another config" in verdict.why
            plan, planned = await first(log, f.SelfplayPlanned)
            assert (plan.model, planned.seq > judged.seq) == (None, True)
            tree = await causes.why(log, Recorded(plan, planned))
            text = "\n".join(causes.tree_lines(tree))
            assert all(word in text for word in ("ModelAdopted", LARGE, "PromotionRejected")), text
            # the first training starts from its weights all the same
            training, _ = await first(log, f.TrainingRequested)
            assert training.parent == model
            made, _ = await first(log, f.ModelRegistered)
            assert made.parents == (model,)
            header = checkpoint_of(await Blobs(log).get(MODEL_BUCKET, made.model)).header
            assert header.config_key == SMALL
            listed = (await model_history.ModelHistory.read(log)).documents(SMALL)
            assert {item["model"]: item["state"] for item in listed}[model] == "adopted"
        finally:
            await log.close()
    finally:
        await server.stop()
