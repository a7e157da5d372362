"""Streams and work consumers as a server describes them."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ringrift.log import api
from ringrift.log.errors import ServerRefused
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.log.topology import CONSUMERS, STREAMS, WORK

Infos = Mapping[str, dict[str, Any]]
"""the server's answers about what exists, by name"""


def server_version(log: JetStreamLog) -> str:
    """The release of the connected server."""
    version = log.client.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


async def stream_infos(log: Log) -> Infos:
    """The streams and buckets that exist."""
    return await _infos(log, {each.name: f"STREAM.INFO.{each.name}" for each in STREAMS})


async def consumer_infos(log: Log) -> Infos:
    """The work consumers that exist, called `WORK.<consumer>`."""
    names = [f"{WORK}.{each.name}" for each in CONSUMERS]
    return await _infos(log, {name: f"CONSUMER.INFO.{name}" for name in names})


async def _infos(log: Log, questions: Mapping[str, str]) -> Infos:
    async def info(question: str) -> dict[str, Any] | None:
        try:
            return await log.call(question)
        except ServerRefused as error:
            if error.code not in (api.NO_STREAM, api.NO_CONSUMER):
                raise
            return None

    answers = await asyncio.gather(*map(info, questions.values()))
    return {name: answer for name, answer in zip(questions, answers, strict=True) if answer}
