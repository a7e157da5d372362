"""Creating streams on a cluster that has just started."""

from __future__ import annotations

import json

from ringrift.log.topology import STREAMS
from ringrift.server.ensure import ensure


async def test_a_leader_that_has_not_heard_of_its_peers_is_asked_again() -> None:
    created: list[str] = []
    refusals = [
        {
            "error": {
                "code": 400,
                "err_code": 10005,
                "description": "no suitable peers for placement, peer offline",
            }
        }
    ]

    async def ask(subject: str, payload: bytes, timeout: float) -> bytes:
        if subject.startswith("$JS.API.STREAM.INFO."):
            return json.dumps(
                {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
            ).encode()
        if refusals:
            return json.dumps(refusals.pop()).encode()
        created.append(subject)
        return json.dumps({"config": json.loads(payload)}).encode()

    assert await ensure(ask, replicas=3, streams=STREAMS[:1], consumers=()) == []
    assert created == [f"$JS.API.STREAM.CREATE.{STREAMS[0].name}"]
