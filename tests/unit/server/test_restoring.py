"""Requests to a cluster whose servers do not all know of a new subscription yet."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.errors import NoRespondersError

from ringrift.log.connect import Connection
from ringrift.log.errors import LogUnavailable
from ringrift.log.retry import Backoff
from ringrift.server import grow

INSTANT = Backoff(first_seconds=0.0, longest_seconds=0.0, budget_seconds=0.05)


class Client:
    """Knows of the subscription from request number `heard` on."""

    def __init__(self, heard: int) -> None:
        self._heard, self.asked = heard, 0

    async def request(self, subject: str, body: bytes, timeout: float) -> Any:
        self.asked += 1
        if self.asked < self._heard:
            raise NoRespondersError
        return SimpleNamespace(data=b"+OK")


async def test_a_request_without_a_receiver_is_sent_again() -> None:
    client = Client(heard=3)
    answer = await grow._once_heard(cast(Connection, client), "restore", b"chunk", 1.0)
    assert (answer, client.asked) == (b"+OK", 3)


async def test_a_request_that_never_has_a_receiver_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grow, "QUICK", INSTANT)
    with pytest.raises(LogUnavailable, match="nothing answers on restore"):
        await grow._once_heard(cast(Connection, Client(heard=10**9)), "restore", b"", 1.0)
