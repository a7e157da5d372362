"""The identity of a cluster: in the log once, and compared with what voters say."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.system import System

from ringrift.cluster import belonging
from ringrift.cluster.belonging import claim, contradiction
from ringrift.cluster.files import parse_nodes, write_cluster
from ringrift.errors import CommandError
from ringrift.events.facts import ClusterFounded
from ringrift.log.errors import ServerError
from ringrift.log.holdings import Held
from ringrift.server.conf_text import read_conf
from ringrift.server.voter import check, note_disk, read_made


def held(a: str, b: str = "one") -> list[Held]:
    return [Held("a", {}, cluster=a), Held("b", {}, cluster=b), Held("c", {})]


def voters(monkeypatch: pytest.MonkeyPatch, found: list[Held]) -> None:
    async def holdings(_: object) -> list[Held]:
        return found

    monkeypatch.setattr(belonging, "holdings", holdings)


async def test_a_cluster_is_recorded_once(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    voters(monkeypatch, held("one"))
    await claim(system.log)
    await claim(system.log)
    assert [fact.cluster for fact in await system.facts(ClusterFounded)] == ["one"]
    assert await contradiction(system.log, held("one")) == ""


async def test_voters_of_another_cluster_are_named(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    voters(monkeypatch, held("one"))
    await claim(system.log)
    text = await contradiction(system.log, held("two"))
    texts = "voter a belongs to two, voter b belongs to one, the log belongs to one"
    assert text.startswith(f"different clusters: {texts}")
    voters(monkeypatch, held("two"))
    with pytest.raises(CommandError, match="different clusters"):
        await claim(system.log, copied=True)
    voters(monkeypatch, held("two", "two"))
    with pytest.raises(CommandError, match="the log belongs to one"):
        await claim(system.log)
    # unless the log was copied onto it
    await claim(system.log, copied=True)
    assert await contradiction(system.log, held("two", "two")) == ""


def test_every_voter_tells_the_identity_that_was_made_for_it(tmp_path: Path) -> None:
    write_cluster(tmp_path, parse_nodes("a=h1,b=h2,c=h3"), users=True, tls=False)
    homes = [tmp_path / "voters" / name for name in "abc"]
    said = {read_conf(home / "ops/voter.conf")["server_metadata"]["cluster"] for home in homes}
    assert said == {read_made(home).cluster for home in homes}  # type: ignore[union-attr]
    assert len(said) == 1
    (homes[1] / "ops/voter.conf").write_text(
        (homes[1] / "ops/voter.conf").read_text().replace(*said, "other")
    )
    with pytest.raises(ServerError, match=r"of a voter of cluster other, and .* of one of"):
        check(homes[1])
    note_disk(homes[0], 0.5)
    metadata = read_conf(homes[0] / "ops/voter.conf")["server_metadata"]
    assert metadata == {"cluster": said.pop(), "disk_used": "0.50"}
