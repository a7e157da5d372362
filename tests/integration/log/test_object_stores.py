"""One behaviour on every kind of store, each a real server: a directory, S3, GCS and Azure,
these two where `fake-gcs-server` and `azurite-blob` are installed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import content
from support.object_stores import emulated_azure, emulated_gcs, s3

from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import BlobCorrupt, BlobMissing, StoreError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.object_store import ObjectStore
from ringrift.log.topology import EVENTS
from ringrift.server.backup import load, names, prune, save
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.server.grow import copy, live

__all__ = ["emulated_azure", "emulated_gcs", "s3"]
DATA = b"segment" * 500_000


@pytest.fixture(params=["directory", "s3", "emulated_gcs", "emulated_azure"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The place of an empty store."""
    if request.param == "directory":
        yield str(tmp_path / "store")
    else:
        yield request.getfixturevalue(request.param)


async def test_objects_are_stored_listed_and_deleted(place: str) -> None:
    store = ObjectStore(f"{place}/prefix")
    await store.check()
    assert await store.names() == {}
    await store.put("GAMES/1.parquet", DATA)
    await store.put("GAMES/1.parquet", DATA)
    await store.put("models/2", b"network")
    assert await store.names() == {"GAMES/1.parquet": len(DATA), "models/2": 7}
    assert await store.names("GAMES") == {"GAMES/1.parquet": len(DATA)}
    digest = hashlib.sha256(DATA).hexdigest()
    assert await store.get_checked("GAMES/1.parquet", digest) == DATA
    with pytest.raises(BlobCorrupt, match="wanted"):
        await store.get_checked("models/2", digest)
    for _ in range(2):
        await store.delete("models/2")
    with pytest.raises(BlobMissing, match="no such object"):
        await store.get("models/2")
    assert await ObjectStore(place).names("prefix") == {"prefix/GAMES/1.parquet": len(DATA)}


@pytest.mark.parametrize("kind", ["s3", "emulated_gcs", "emulated_azure"])
async def test_a_bucket_that_is_not_there_is_named(
    kind: str, request: pytest.FixtureRequest
) -> None:
    scheme = request.getfixturevalue(kind).split(":")[0]
    with pytest.raises(StoreError, match="no such bucket; create it") as error:
        await ObjectStore(f"{scheme}://other-bucket/prefix").check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("place", "variables", "why"),
    [
        ("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": "/none"}, "Unable to open service account"),
        ("az://c", {}, "Account must be specified"),
        ("s3://b", {"AWS_ACCESS_KEY_ID": "a"}, "Missing SecretAccessKey"),
        ("s3://b", {"AWS_SHARED_CREDENTIALS_FILE": __file__}, "no credentials of profile"),
        ("s3://b", {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}, "no identity there"),
    ],
)
async def test_absent_credentials_are_one_line(
    place: str, variables: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch, s3: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(StoreError, match=why) as error:
        await ObjectStore(place).check()
    assert "\n" not in str(error.value)


async def test_backups_are_made_continued_and_restored(place: str, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as leaving:
        servers = [await EmbeddedServer.start(tmp_path / name) for name in ("old", "new")]
        for server in servers:
            leaving.push_async_callback(server.stop)
        old, new = [await JetStreamLog.open(server.url, name="test") for server in servers]
        for log in (old, new):
            leaving.push_async_callback(log.close)
        await ensure(old)
        for number in range(2):
            fact = ConsumerStarted(node="n", consumer="test", instance=str(number), version="1")
            await old.append([draft(fact, cause=None, source="test", key=number)])
            made = await save(await live(old), f"{place}/backups")
        await prune(f"{place}/backups", 1)
        assert await names(ObjectStore(f"{place}/backups")) == [made.name]
        await copy(await load(f"{place}/backups"), new, replicas=1)
        assert await content(new, EVENTS) == await content(old, EVENTS)
