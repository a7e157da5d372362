"""`ringrift model` on a real server: lists, cards, transfer into the store, and refusals."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from pathlib import Path
from typing import Any

import pytest
from support.ratings import table

from ringrift.cli.main import main
from ringrift.events import draft
from ringrift.events.facts import (
    EvaluationScored,
    Fact,
    ModelArchived,
    ModelKept,
    ModelPromoted,
    ModelRegistered,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
    TrainingStarted,
)
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.nets.nnue.features import ENCODER
from ringrift.nets.nnue.network import NnueCheckpoint, build as build_nnue
from ringrift.rules import Config

SHARD = "cd" * 32


def network(seed: int, key: str = "square8_2p", parents: tuple[str, ...] = ()) -> bytes:
    config = Config.parse(key)
    return TowerCheckpoint.save(
        build("v2-micro", hex_board=config.shape.hex, seed=seed),
        architecture="v2-micro",
        config=config,
        parents=parents,
    )


@pytest.fixture(scope="module")
def nnue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = Config.parse("hex8_3p")
    path = tmp_path_factory.mktemp("nnue") / "net"
    path.write_bytes(
        NnueCheckpoint.save(build_nnue("nnue_mp", config), architecture="nnue_mp", config=config)
    )
    return path


async def put_nnue(system: Any, data: bytes) -> str:
    """Into the store, with the fact that it exists."""
    log = await JetStreamLog.open(system.server.url, name="test")
    try:
        model = await Blobs(log).put(MODEL_BUCKET, data)
        fact = ModelRegistered(
            config="hex8_3p",
            model=model,
            generation=1,
            architecture="nnue_mp",
            encoder=ENCODER,
            parameters=9,
            parents=(),
            ticket="training-events-9",
        )
        await log.append([draft(fact, cause=None, source="test", key=model)])
        return model
    finally:
        await log.close()


@pytest.fixture(scope="module")
def models(system: Any) -> list[bytes]:
    """Two generations of square8_2p: the first promoted, the second its child, neither of them in
    the other's tests."""
    first = network(1)
    second = network(2, parents=(digest_of(first),))
    system.call(history(system, first, second))
    return [first, second]


async def history(system: Any, first: bytes, second: bytes) -> None:
    log = await JetStreamLog.open(system.server.url, name="test")
    config, numbers = "square8_2p", itertools.count()

    async def put(fact: Fact, cause: int | None = None) -> int:
        where = f"EVENTS/{cause}" if cause else None
        return (
            await log.append(
                [draft(fact, cause=where, source="test", key=f"models-{next(numbers)}")]
            )
        )[0]

    try:
        await put(
            ShardExported(
                config=config,
                encoder="planes-1",
                index=0,
                first_seq=11,
                last_seq=74,
                games=64,
                samples=5000,
                rejected=0,
                digest=SHARD,
                size_bytes=1,
            )
        )
        for generation, data in enumerate((first, second), 1):
            model = await Blobs(log).put(MODEL_BUCKET, data)
            parents = TowerCheckpoint.parse(data).header.parents
            ticket = f"training-events-{generation}"
            asked = await put(
                TrainingRequested(
                    config=config,
                    generation=generation,
                    architecture="v2-micro",
                    parent=parents[0] if parents else None,
                    shards=(SHARD,),
                    samples=5000,
                    seed=generation,
                    reason="5000 new samples",
                    settings_version=1,
                )
            )
            await put(
                TrainingStarted(
                    config=config,
                    generation=generation,
                    ticket=ticket,
                    node="test",
                    device="cpu",
                    resumed_step=0,
                ),
                asked,
            )
            await put(
                TrainingFinished(
                    config=config,
                    generation=generation,
                    ticket=ticket,
                    model=model,
                    steps=40,
                    samples=5000,
                    loss=2.5,
                    policy_loss=2.0,
                    value_loss=0.5,
                    validation_loss=None,
                    train_seconds=9.0,
                    node="test",
                ),
                asked,
            )
            await put(
                ModelRegistered(
                    config=config,
                    model=model,
                    generation=generation,
                    architecture="v2-micro",
                    encoder="planes-1",
                    parameters=127_396,
                    parents=parents,
                    ticket=ticket,
                ),
                asked,
            )
        model = digest_of(first)
        names = f"{model[:12]}:gumbel:s8", "baseline:random:s0"
        await put(
            EvaluationScored(
                config=config,
                generation=1,
                ticket="e",
                candidate=names[0],
                candidate_model=model,
                opponent=names[1],
                purpose="random",
                round=0,
                games=40,
                wins=30.0,
                scores=((0.75, 20),),
                rankings=(),
                play_seconds=1.0,
                node="test",
            )
        )
        await put(table({names[0]: 95.0}, config=config, error=20.0, games=40, anchor=names[1]))
        await put(
            ModelPromoted(
                config=config,
                generation=1,
                model=model,
                previous=None,
                evidence=None,
                why="beats random",
                settings_version=1,
            )
        )
    finally:
        await log.close()


def test_the_list_names_every_network(run: Any, models: list[bytes]) -> None:
    first, second = (digest_of(data)[:12] for data in models)
    shown = run("model", "list")
    lines = {line.split()[0]: line for line in shown.splitlines()[1:]}
    assert "current" in lines[first]
    assert "+95 ± 39 (gumbel:s8)" in lines[first]
    assert first in lines[second]
    assert "current" not in lines[second]
    assert [item["generation"] for item in run.json("model", "list", "--config", "square8_2p")][
        :2
    ] == [1, 2]
    assert "no networks for hex8_4p" in run("model", "list", "--config", "hex8_4p")


def test_a_card_shows_a_network_and_its_origin(run: Any, models: list[bytes]) -> None:
    first, second = map(digest_of, models)
    shown = run("model", "show", first[:12])
    for text in (
        "v2-micro: blocks 4",
        "127,396 in",
        "encoder planes-1",
        "40 steps on 5,000 samples",
        "GAMES 11 to 74",
        "64 of 1 shards",
        "75.0% of 40 games",
        "+95 ± 39 (Elo,",
        "promoted: beats random",
        second[:12],
    ):
        assert text in shown, text
    card = run.json("model", "show", second)
    assert card["lineage"] == [
        {
            "model": first,
            "config": "square8_2p",
            "generation": 1,
            "architecture": "v2-micro",
            "promoted": True,
        }
    ]
    assert card["training"]["device"] == "cpu"
    assert card["games"]["last_seq"] == 74
    assert card["header"]["config_key"] == "square8_2p"


def test_a_file_shows_its_header_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net").write_bytes(network(3))
    assert main(["model", "show", str(tmp_path / "net"), "--data", str(tmp_path / "nothing")]) == 0
    out = capsys.readouterr().out
    assert "square8_2p" in out
    assert "only the file was read" in out


def test_a_transfer_is_published_once_and_names_its_parent(
    run: Any, models: list[bytes], tmp_path: Path
) -> None:
    first = digest_of(models[0])
    words = (
        "model",
        "transfer",
        "--model",
        first[:8],
        "--to",
        "square8_4p",
        "--publish",
        "--output",
        str(tmp_path / "new"),
    )
    new = run.json(*words)["model"]
    assert digest_of((tmp_path / "new").read_bytes()) == new
    assert f"--set training.init=square8_4p={new}" in run(*words)
    (derived,) = run.json("model", "list", "--config", "square8_4p")
    assert derived["parents"] == [first]
    assert derived["method"] == "transfer-2"
    card = run.json("model", "show", new)
    assert [ancestor["model"] for ancestor in card["lineage"]] == [first]
    assert card["header"]["config_key"] == "square8_4p"
    assert new in run.json("model", "show", first)["children"]
    lineage = run.json("lineage", new)
    assert (lineage["ancestors"], lineage["generation"]) == ([first], 0)
    assert run.json("model", "promote", new, "--why", "try it")["promoted"]["model"] == new
    made = run.json("model", "list", "--config", "square8_4p")
    assert [one["state"] for one in made] == ["current"]


def test_unusable_networks_are_reported_in_one_line(
    run: Any, models: list[bytes], tmp_path: Path
) -> None:
    cases = {
        "pickle": (pickle.dumps({"weights": [1.0]}), "a pickle"),
        "truncated": (models[0][:-100], "do not hold shape"),
        "text": (b"weights" * 9, "truncated: a header of"),
        "empty": (b"", "too short"),
    }
    for name, (data, text) in cases.items():
        (tmp_path / name).write_bytes(data)
        run("model", "show", str(tmp_path / name), status=1)
        assert text in run.err
        assert run.err.count("\n") == 1
    for words, text in (
        (("show", "no-such-file"), "cannot read no-such-file"),
        (("keep", "zz", "--why", "x"), "nor the first 6 or more digits of a digest"),
        (("show", "f" * 64), "no networks in the store start with 'ffff"),
    ):
        run("model", *words, status=1)
        assert text in run.err
        assert run.err.count("\n") == 1
    words = ("--model", digest_of(models[0]), "--to", "square9_4p", "--publish")
    run("model", "transfer", *words, status=2)
    assert "square9_4p" in run.err


def test_an_nnue_has_a_card_too(run: Any, system: Any, nnue_file: Path) -> None:
    model = system.call(put_nnue(system, nnue_file.read_bytes()))
    weights = sum(
        array.size for array in NnueCheckpoint.parse(nnue_file.read_bytes()).weights.values()
    )
    for name in (model[:10], str(nnue_file)):
        shown = run("model", "show", name)
        for text in (model, "hex8_3p", "nnue_mp: ", f"{weights:,} in", ENCODER):
            assert text in shown, text
        assert run.json("model", "show", name)["header"]["architecture"] == "nnue_mp"
    (listed,) = run.json("model", "list", "--config", "hex8_3p")
    assert listed["model"] == model
    assert model[:12] in run("model", "list")


def test_an_nnue_is_not_exported(run: Any, nnue_file: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    run("model", "fetch", "--format", "onnx", str(nnue_file), "--output", str(made), status=1)
    text = "be exported: it plays in whole numbers"
    assert f"this is an NNUE (nnue_mp for hex8_3p), which cannot {text}" in run.err
    assert run.err.count("\n") == 1
    assert not made.exists()


def test_an_nnue_is_transferred_to_seats_that_it_supports(
    run: Any, nnue_file: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    words = ("model", "transfer", "--model", str(nnue_file), "--output", str(made), "--to")
    run(*words, "hexagonal_2p", status=1)
    assert "nnue_mp does not support hexagonal_2p; for 2 seats use nnue, nnue_policy" in run.err
    run(*words, "hexagonal_4p")
    assert NnueCheckpoint.parse(made.read_bytes()).header.config_key == "hexagonal_4p"


def test_a_network_is_kept_and_left_to_the_archive(run: Any, system: Any, tmp_path: Path) -> None:
    data = network(77)
    digest = digest_of(data)

    async def move_away() -> None:
        """As the archiver does."""
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            (tmp_path / "models").mkdir()
            place = tmp_path / "models" / digest
            place.write_bytes(data)
            moved = ModelArchived(
                config="square8_2p", model=digest, size_bytes=len(data), place=str(place)
            )
            await log.append([draft(moved, cause=None, source="test", key=digest)])
            await Blobs(log).delete(MODEL_BUCKET, digest)
        finally:
            await log.close()

    async def state() -> tuple[list[bool], bool]:
        """What was decided, and whether the network is in the store."""
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            kept = [fact async for fact, _ in read.facts(log, ModelKept) if fact.model == digest]
            assert {(fact.config, fact.why) for fact in kept} == {("square8_2p", "test")}
            return [fact.kept for fact in kept], await Blobs(log).has(MODEL_BUCKET, digest)
        finally:
            await log.close()

    asyncio.run(put_blob(system, data))
    text = run("model", "archive", digest[:12], "--why", "test")
    assert text.startswith(f"{digest[:12]} leaves the store once")
    assert asyncio.run(state()) == ([False], True)
    asyncio.run(move_away())
    known = run.json("model", "keep", digest[:12], "--why", "test")
    assert known == {"model": digest, "kept": True}
    assert asyncio.run(state()) == ([False, True], True)
    run("model", "keep", "0" * 12, "--why", "test", status=1)
    assert "0" * 12 in run.err


async def put_blob(system: Any, data: bytes) -> None:
    log = await JetStreamLog.open(system.server.url, name="test")
    try:
        await Blobs(log).put(MODEL_BUCKET, data)
    finally:
        await log.close()
