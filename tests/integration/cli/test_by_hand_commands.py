"""`ringrift train` and `ringrift model import|promote|rollback` on a real server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.games import play_game

from ringrift.cli.main import main
from ringrift.events import draft
from ringrift.events.facts import ModelPromoted, ModelRegistered, ModelRolledBack
from ringrift.learning.shards import build_shard
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import SHARD_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.rules import Config

CONFIG = "hex8_2p"


def network(seed: int, key: str = CONFIG) -> bytes:
    config = Config.parse(key)
    tower = build("v2-micro", hex_board=config.shape.hex, seed=seed)
    return TowerCheckpoint.save(tower, architecture="v2-micro", config=config)


def shard(key: str = CONFIG) -> bytes:
    games = [play_game(key, seed) for seed in range(4)]
    return build_shard(Config.parse(key), games)[0]


def on_log(system: Any, work: Callable[[JetStreamLog], Coroutine[Any, Any, Any]]) -> Any:
    """The result of `work` on the log of a system."""

    async def run() -> Any:
        log = await JetStreamLog.open(system.server.url, name="test")
        try:
            return await work(log)
        finally:
            await log.close()

    return system.call(run())


def files(folder: Path, **contents: bytes) -> dict[str, str]:
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name: str(folder / name) for name in contents}


def test_a_file_is_imported_promoted_and_rolled_back(system: Any, run: Any, tmp_path: Path) -> None:
    first, second = network(1), network(2)
    named = files(tmp_path, first=first, second=second)
    one, two = digest_of(first), digest_of(second)

    out = run.json("model", "import", named["first"], "--why", "a gift")
    assert out["registered"]["model"] == one
    assert (out["registered"]["source"], out["registered"]["why"]) == (named["first"], "a gift")
    run("model", "import", named["second"], "--why", "another")
    run("model", "import", named["first"], "--why", "again", status=1)
    assert f"{one[:12]} is registered already: EVENTS/" in run.err

    text = run("model", "promote", one[:8], "--why", "the first")
    assert text == f"{one[:12]} is the current network of {CONFIG}\n"
    text = run("model", "promote", two[:8], "--why", "looks better")
    assert text == f"{two[:12]} is the current network of {CONFIG} instead of {one[:12]}\n"
    run("model", "promote", two[:8], "--why", "again", status=1)
    assert "is the current network of hex8_2p already" in run.err

    text = run("model", "rollback", CONFIG, "--why", "it was not")
    assert text == f"{one[:12]} is the current network of {CONFIG} again, instead of {two[:12]}\n"
    run("model", "rollback", CONFIG, "--why", "once more", status=1)
    assert f"no network of {CONFIG} was current before {one[:12]}" in run.err
    states = {item["model"]: item["state"] for item in run.json("model", "list")}
    assert (states[one], states[two]) == ("current", "promoted")

    async def facts(log: JetStreamLog) -> list[Any]:
        kinds = (ModelRegistered, ModelPromoted, ModelRolledBack)
        return [item async for item in read.facts(log, *kinds) if item.event.model in (one, two)]

    written = on_log(system, facts)
    assert {meta.source.partition("@")[0] for _, meta in written} == {"ringrift"}
    problems = [
        item for item in run.json("verify", status=1)["problems"] if item["level"] == "fail"
    ]
    positions = {meta.position for _, meta in written}
    assert not [item for item in problems if item["name"] in positions or one in item["name"]]


def test_a_worker_may_not_write_what_the_operator_may(system: Any, run: Any) -> None:
    fact = ModelPromoted(
        config="hex8_3p",
        generation=1,
        model="ab" * 32,
        previous=None,
        evidence=None,
        why="mine",
        settings_version=1,
    )

    async def write(log: JetStreamLog) -> int:
        item = draft(fact, cause=None, source="selfplay@gpu", key="worker")
        return (await log.append([item]))[0]

    seq = on_log(system, write)
    problems = {item["name"]: item["text"] for item in run.json("verify", status=1)["problems"]}
    assert f"EVENTS/{seq}" in problems


def test_a_network_is_trained_from_files_and_from_the_store(
    system: Any, run: Any, tmp_path: Path
) -> None:
    named = files(tmp_path, shard=shard(), init=network(3))
    out = tmp_path / "net"

    async def put(log: JetStreamLog) -> str:
        return await Blobs(log).put(SHARD_BUCKET, shard())

    words = ("train", "--config", CONFIG, "--steps", "3", "--set", "training.batch=32")
    trained = run.json(*words, "--shards", named["shard"], "--output", str(out))
    assert trained["model"] == digest_of(out.read_bytes())
    assert (trained["last"]["steps"], trained["published"]) == (3, False)

    digest = on_log(system, put)
    again = run.json(*words, "--shards", digest[:10], named["shard"], "--output", str(out))
    assert again["samples"] == 2 * trained["samples"]

    more = ("--init", named["init"], "--publish", "--why", "try it")
    published = run.json(*words, "--shards", named["shard"], *more)
    assert published["published"]
    card = {item["model"]: item for item in run.json("model", "list")}[published["model"]]
    assert card["parents"] == [digest_of(network(3))]
    assert (card["why"], card["generation"]) == ("try it", 0)
    assert card["source"] == f"ringrift train on {trained['samples']:,} samples"


def test_one_network_is_trained_on_several_configs(run: Any, tmp_path: Path) -> None:
    named = files(tmp_path, hexes=shard(), squares=shard("square8_3p"))
    base = ("train", "--config", CONFIG, "--config", "square8_3p", "--steps", "4")
    run(*base, "--shards", *named.values(), "--output", str(tmp_path / "joint"))
    header = TowerCheckpoint.parse((tmp_path / "joint").read_bytes()).header
    assert header.configs == (CONFIG, "square8_3p")
    assert header.config_key == CONFIG
    run(*base, "--shards", named["hexes"], "--output", str(tmp_path / "one"), status=1)
    assert "there is no shard of square8_3p among --shards" in run.err


def test_what_cannot_be_trained_is_refused_in_one_line(run: Any, tmp_path: Path) -> None:
    named = files(tmp_path, bad=b"nonsense", good=shard(), other=network(1, "square8_2p"))
    base = ("train", "--config", CONFIG, "--steps", "1", "--output", str(tmp_path / "net"))

    def refused(*words: str) -> str:
        run(*base, *words, status=1)
        assert run.err.count("\n") == 1
        return str(run.err)

    assert f"{named['bad']}: not a shard" in refused("--shards", named["bad"])
    assert "cannot read missing.shard" in refused("--shards", "missing.shard")
    assert "no stored shards start with abcdef" in refused("--shards", "abcdef")
    text = refused("--shards", named["good"], "--architecture", "v99")
    assert "unknown architecture 'v99'" in text
    text = refused("--shards", named["good"], "--architecture", "v2", "--init", named["other"])
    assert "cannot start v2 for hex8_2p from a v2-micro" in text
    run("train", "--config", "hex8_3p", "--shards", named["good"], "--output", "x", status=1)
    assert "is a shard of hex8_2p, not hex8_3p" in run.err
    run("train", "--config", CONFIG, "--shards", named["good"], status=1)
    assert "the network would be lost: give --output FILE, --publish, or both" in run.err
    absent = str(tmp_path / "absent" / "net")
    run("train", "--config", CONFIG, "--shards", named["good"], "--output", absent, status=1)
    assert "name a file in an existing folder" in run.err
    run("model", "import", named["bad"], "--why", "w", status=1)
    assert "not a checkpoint" in run.err


def test_training_needs_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = files(tmp_path, shard=shard())
    monkeypatch.chdir(tmp_path)
    words = ("train", "--config", CONFIG, "--steps", "1", "--shards", named["shard"])
    assert main([*words, "--output", "net"]) == 0
    assert (tmp_path / "net").stat().st_size > 100_000
