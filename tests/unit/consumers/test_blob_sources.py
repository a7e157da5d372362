"""A network is looked for in cache, bucket, archive and directory; wrong files are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.system import System

from ringrift.events.facts import BlobFetched, ModelArchived, ModelKept, ModelRegistered
from ringrift.log import archive, sources
from ringrift.log.errors import BlobMissing
from ringrift.log.topology import MODEL_BUCKET

NETWORK = b"network" * 100
DIGEST = hashlib.sha256(NETWORK).hexdigest()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(archive.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(sources.FOLDER, str(tmp_path / "given"))
    (tmp_path / "given").mkdir()


async def test_without_any_source_the_error_is_that_of_the_bucket(system: System) -> None:
    with pytest.raises(BlobMissing, match="models/"):
        await system.process().blobs.get(MODEL_BUCKET, DIGEST)
    assert await system.facts(BlobFetched) == []


async def test_a_file_of_the_operator_is_the_last_source(system: System, tmp_path: Path) -> None:
    file = tmp_path / "given" / f"{DIGEST}.safetensors"
    for wrong in (b"<html>", NETWORK + b"!"):
        file.write_bytes(wrong)
        with pytest.raises(BlobMissing):
            await system.process().blobs.get(MODEL_BUCKET, DIGEST)
    file.write_bytes(NETWORK)
    process = system.process()
    assert await process.blobs.get(MODEL_BUCKET, DIGEST) == NETWORK
    (fact,) = await system.facts(BlobFetched)
    assert [item.source for item in fact.attempts] == ["cache", "bucket", "archive", "directory"]
    assert fact.attempts[-1].error == ""
    assert process.metrics.value("ringrift_blobs_fetched_total", "directory") == 1


async def test_a_damaged_cache_and_archive_are_passed_over(system: System, tmp_path: Path) -> None:
    process = system.process()
    await process.blobs.put(MODEL_BUCKET, NETWORK)
    assert await process.blobs.get(MODEL_BUCKET, DIGEST) == NETWORK
    (tmp_path / "cache" / DIGEST).write_bytes(NETWORK[:-1])
    stored = tmp_path / "archive" / MODEL_BUCKET / DIGEST
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"other")
    await system.write(
        ModelArchived(config="hex8_2p", model=DIGEST, size_bytes=len(NETWORK), place=str(stored))
    )
    assert await process.blobs.get(MODEL_BUCKET, DIGEST) == NETWORK
    await process.blobs.delete(MODEL_BUCKET, DIGEST)
    (tmp_path / "cache" / DIGEST).unlink()
    with pytest.raises(BlobMissing):
        await process.blobs.get(MODEL_BUCKET, DIGEST)
    stored.write_bytes(NETWORK)
    assert await process.blobs.get(MODEL_BUCKET, DIGEST) == NETWORK


async def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(archive.CACHE_LIMIT, "2500")
    cache = archive.Cache()
    names = [f"{number:064}" for number in range(4)]
    for name in names:
        cache.write(name, b"x" * 1000)
    assert sum(file.stat().st_size for file in cache.folder.iterdir()) <= 2500
    assert (cache.folder / names[-1]).exists()


def test_current_networks_their_parents_and_kept_ones_are_not_idle() -> None:
    from datetime import UTC, datetime, timedelta

    from ringrift.consumers.archiving.state import State
    from ringrift.events.facts import ModelPromoted

    old, state = datetime(2026, 1, 1, tzinfo=UTC), State()
    digests = [f"{number:064}" for number in range(5)]

    def registered(number: int, *parents: int) -> ModelRegistered:
        return ModelRegistered(
            config="hex8_2p",
            model=digests[number],
            generation=number,
            architecture="a",
            encoder="e",
            parameters=1,
            parents=tuple(digests[parent] for parent in parents),
            ticket="t",
        )

    facts = [registered(0), registered(1, 0), registered(2, 1), registered(3, 2), registered(4, 2)]
    facts += [
        ModelPromoted(
            config="hex8_2p",
            generation=2,
            model=digests[2],
            previous=None,
            evidence=None,
            why="",
            settings_version=1,
        ),
        ModelKept(config="hex8_2p", model=digests[3], kept=True, why="paper"),
    ]
    for fact in facts:
        state._take(fact, old)
    assert state.idle_networks(old) == {}
    later = old + timedelta(days=9)
    assert state.idle_networks(later).keys() == {digests[0], digests[4]}
    state._take(ModelKept(config="hex8_2p", model=digests[3], kept=False, why=""), old)
    assert state.idle_networks(later).keys() == {digests[0], digests[3], digests[4]}
