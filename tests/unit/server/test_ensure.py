"""Creating streams, and comparing them with their declarations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ringrift.log import api
from ringrift.log.errors import ServerRefused, StreamMissing, VoterAway
from ringrift.log.retry import Backoff
from ringrift.log.topology import STREAMS
from ringrift.server import ensure as ensure_module
from ringrift.server.ensure import Drift, differences, ensure
from ringrift.tools.memory_log import MemoryLog


class StartingCluster(MemoryLog):
    """Has no streams, and refuses to create the first few; one voter may take no part."""

    def __init__(self, refusals: int, *, all_take_part: bool = True) -> None:
        super().__init__()
        self.refusals = refusals
        self.copies = [{"name": "b", "current": True}, {"name": "c", "current": all_take_part}]
        self.created: list[str] = []

    async def call(
        self, subject: str, request: Mapping[str, Any] | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        if subject == "STREAM.INFO.CANARY":
            return {"cluster": {"leader": "a", "replicas": self.copies}}
        if subject.startswith("STREAM.INFO."):
            raise StreamMissing(subject.removeprefix("STREAM.INFO."))
        if self.refusals:
            self.refusals -= 1
            raise ServerRefused(api.NO_PEERS, "no suitable peers for placement, peer offline", 400)
        self.created.append(subject)
        return {"config": json.loads(json.dumps(request))}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ensure_module, "QUICK", Backoff(first_seconds=0.0, longest_seconds=0.0, budget_seconds=10.0)
    )
    monkeypatch.setattr(
        ensure_module, "TAKES_PART", Backoff(first_seconds=0, longest_seconds=0, budget_seconds=0.1)
    )


async def test_a_leader_that_does_not_know_its_peers_yet_is_asked_again() -> None:
    log = StartingCluster(refusals=2)
    assert await ensure(log, replicas=3, streams=STREAMS[:1], consumers=()) == []
    assert log.created == [
        "STREAM.CREATE.CANARY",
        "STREAM.DELETE.CANARY",
        f"STREAM.CREATE.{STREAMS[0].name}",
    ]


async def test_nothing_is_created_while_a_voter_takes_no_part() -> None:
    log = StartingCluster(refusals=1, all_take_part=False)
    with pytest.raises(VoterAway, match="voter c takes no part"):
        await ensure(log, replicas=3, streams=STREAMS[:1], consumers=())
    assert log.created == ["STREAM.CREATE.CANARY", "STREAM.DELETE.CANARY"]


async def test_blank_voters_get_streams_only_if_the_cluster_is_new() -> None:
    log = StartingCluster(refusals=0)
    for given in ({"replicas": None}, {"replicas": 3, "new": False}):
        with pytest.raises(VoterAway, match=r"nothing says that it is new.*contract apply --new"):
            await ensure(log, **given, streams=STREAMS[:1], consumers=())
    assert set(log.created) == {"STREAM.CREATE.CANARY", "STREAM.DELETE.CANARY"}
    await ensure(log, replicas=None, new=True, streams=STREAMS[:1], consumers=())
    assert f"STREAM.CREATE.{STREAMS[0].name}" in log.created


def test_differences_ignore_fields_that_the_server_adds_or_omits() -> None:
    declared = {
        "name": "S",
        "max_age": 0,
        "max_msgs": 5,
        "filter_subjects": ["a"],
        "deny_delete": True,
    }
    actual = {
        "name": "S",
        "max_msgs": 5,
        "filter_subject": "a",
        "deny_delete": True,
        "metadata": {},
    }
    assert differences("S", declared, actual) == []
    found = differences(
        "S", declared, {"name": "S", "max_msgs": 6, "filter_subjects": ["a"], "max_age": 1}
    )
    assert found == [
        Drift("S", "max_age", 0, 1),
        Drift("S", "max_msgs", 5, 6),
        Drift("S", "deny_delete", True, False),
    ]
    assert str(found[1]) == "S: max_msgs is 6, declared 5"
