"""A bridge for commands that are not converted: see `ringrift.cli.common`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import get_args

from ringrift.cli import common
from ringrift.cli.common import Source, console, progress
from ringrift.errors import CommandError
from ringrift.events import facts
from ringrift.log.jetstream import JetStreamLog

__all__ = ["console", "moment", "opened", "progress", "server_url"]
Moment = int | datetime


@contextlib.asynccontextmanager
async def opened(
    options: argparse.Namespace, *, create: bool = False, start: bool = True
) -> AsyncIterator[JetStreamLog]:
    source = Source(data=options.data, server=options.server)
    async with common.opened(source, create=create, start=start) as log:
        yield log


async def server_url(options: argparse.Namespace) -> str:
    return await common.server_url(Source(data=options.data, server=options.server))


def moment(text: str, *, now: datetime | None = None) -> Moment:
    try:
        return common.moment(text, now=now)
    except ValueError as error:
        raise CommandError(str(error)) from error


def known_scope(config: str) -> str:
    known = get_args(facts.ConfigName)
    if config not in known:
        raise CommandError(f"unknown config {config!r}; configs are {', '.join(known)}")
    return config
