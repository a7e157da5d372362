"""A cluster whose roles shared passwords becomes one in which each node has its own key, by one
command."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from support.clusters import content, event
from support.voters import voters

from ringrift.cli.main import main
from ringrift.cluster.files import as_operator, write_cluster, write_members
from ringrift.errors import CommandError
from ringrift.log.blobs import Blobs
from ringrift.log.login import Login
from ringrift.log.topology import EVENTS
from ringrift.server.configuration import USERS_FILE

OLD = Login("operator", "pw-of-the-old-operator")


def with_passwords(folder: Path) -> None:
    """Make the files what older programs wrote: a password for each role, no keys."""
    user = {"user": OLD.user, "password": OLD.password}
    users = json.dumps({"authorization": {"users": [user]}})
    for home in (folder / "voters").iterdir():
        (home / USERS_FILE).write_text(users)
    (folder / "credentials").mkdir()
    (folder / "credentials" / "operator.txt").write_text(f"{OLD.user}:{OLD.password}\n")


async def test_everything_is_copied_and_the_old_cluster_stays_as_it_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    async with (
        voters(old, "a", keys=False, change=with_passwords) as (_, log),
        voters(new, "a", create=False) as (made, _),
    ):
        await log.append_each([event(number) for number in range(50)])
        digest = await Blobs(log).put("models", b"network")
        with made.as_role("operator"):
            words = ("cluster", "grow", "--from", str(old), "--replicas", "1", "--server", made.url)
            assert await asyncio.to_thread(main, [*words]) == 0
            copied = await made.opened()
        *history, founded = await content(copied, EVENTS)
        assert history == await content(log, EVENTS)
        assert founded.subject == "ringrift.voter.all.cluster-founded"
        assert await Blobs(copied).get("models", digest) == b"network"
        await copied.close()
    with pytest.raises(CommandError, match="is of a cluster with passwords"):
        write_cluster(old, made.nodes, users=True, tls=False)
    with pytest.raises(CommandError, match="is of a cluster with passwords"):
        write_members(old, made.nodes, made.nodes)
    assert as_operator(old)["RINGRIFT_CREDENTIALS"].endswith("operator.txt")
