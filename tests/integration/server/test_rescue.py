"""A log from one disk of a cluster whose other disks are gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clusters import content, event
from support.stream_cluster import running_cluster

from ringrift.log.errors import ServerError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, STREAMS
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.rescue import rescue

NUMBER = 300


def files_in(store: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


async def test_one_disk_of_three_gives_the_whole_log(tmp_path: Path) -> None:
    # given a cluster of which two disks are gone
    async with running_cluster(tmp_path) as cluster:
        log = await JetStreamLog.open(cluster.url, name="test")
        await log.append_each([event(number) for number in range(NUMBER)])
        before = await content(log, EVENTS)
        await log.close()
    store = tmp_path / "store2"
    untouched = files_in(store)
    # when the third is rescued
    found = await rescue(store, tmp_path / "single")
    # then it says what it held, and the original is as it was
    held = {each.stream: each for each in found.streams}
    assert (held[EVENTS].messages, held[EVENTS].first, held[EVENTS].last) == (NUMBER, 1, NUMBER)
    assert held.keys() == {stream.name for stream in STREAMS}
    assert (found.missing, found.empty) == ((), ())
    assert files_in(store) == untouched
    # and every start of a single server finds the messages
    for _ in range(2):
        server = await EmbeddedServer.start(tmp_path / "single")
        log = await JetStreamLog.open(server.url, name="test")
        assert await content(log, EVENTS) == before
        await log.close()
        await server.stop()


async def test_what_is_no_store_and_a_used_target_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="holds no stream EVENTS"):
        await rescue(tmp_path, tmp_path / "to")
    (tmp_path / "a/nats/jetstream/$G/streams/EVENTS/msgs").mkdir(parents=True)
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "file").touch()
    with pytest.raises(ServerError, match="to is not empty"):
        await rescue(tmp_path / "a", tmp_path / "to")
    with pytest.raises(ServerError, match="is no directory"):
        await rescue(tmp_path / "none", tmp_path / "to")
