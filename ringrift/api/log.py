"""Networks and games of a log, read without an event loop."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ringrift.api.game import Game
from ringrift.api.players import Network
from ringrift.errors import CommandError
from ringrift.events import facts as f
from ringrift.insight.board.recorded_game import RecordedGame, find_game
from ringrift.insight.models import model_store
from ringrift.insight.models.model_history import ModelHistory
from ringrift.log import protocol, read
from ringrift.log.blobs import Blobs
from ringrift.log.errors import Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import MODEL_BUCKET
from ringrift.server.address import find_server
from ringrift.server.embedded import EmbeddedServer

T = TypeVar("T")

CURRENT = "current"
"""Stands for the digest of the incumbent of a config."""


class Log:
    """The log of a data directory or of a server, to read from.

    >>> from ringrift.api import Log, Player
    >>> log = Log(".ringrift")
    >>> network = log.network("current", config="hex8_2p")
    >>> player = Player("hex8_2p", network=network, budget=16)
    >>> player.search(log.game("GAMES/1").at(20)).nodes > 0
    True

    Every method opens a connection, and starts the server of the directory for as long as it needs
    it if none runs. All raise `ringrift.errors.RingRiftError` if the log cannot be read, or does
    not have what is asked for."""

    def __init__(self, data: str | Path = ".ringrift", *, server: str | None = None) -> None:
        """Read the data directory of `ringrift up`, or the NATS server at the URL `server`."""
        self.data, self.server = Path(data), server

    def networks(self, config: str | None = None) -> list[dict[str, Any]]:
        """Return what the log knows about its networks, oldest first: digest (`model`), config,
        generation, architecture, parents, state (such as `current`)."""
        return self._read(lambda log: _networks(log, config))

    def network(self, digest: str = CURRENT, *, config: str | None = None) -> Network:
        """Return the network whose digest starts with `digest`, or the incumbent of `config`."""
        return Network(self._read(lambda log: _bytes(log, digest, config)))

    def game(self, name: str) -> Game:
        """Return a recorded game by its id, or by its place such as `GAMES/3`."""
        return _game(self._read(lambda log: find_game(log, name)))

    def games(self, config: str, *, newest: int = 100) -> list[Game]:
        """Return the newest recorded games of a config, oldest first."""
        return [_game(found) for found in self._read(lambda log: _games(log, config, newest))]

    def _read(self, work: Callable[[protocol.Log], Awaitable[T]]) -> T:
        """Run `work` on an open log, in a thread of its own: the caller may run an event loop, as
        notebooks do."""

        async def run() -> T:
            async with self._opened() as log:
                return await work(log)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[protocol.Log]:
        async with contextlib.AsyncExitStack() as leaving:
            try:
                url = self.server or await find_server(self.data)
            except Unreachable:
                if self.server or not (self.data / "nats").is_dir():
                    raise
                started = await EmbeddedServer.start(self.data)
                leaving.push_async_callback(started.stop)
                url = started.url
            log = await JetStreamLog.open(url, name="ringrift.api")
            leaving.push_async_callback(log.close)
            yield log


async def _networks(log: protocol.Log, config: str | None) -> list[dict[str, Any]]:
    return (await ModelHistory.read(log)).documents(config)


async def _bytes(log: protocol.Log, digest: str, config: str | None) -> bytes:
    if digest != CURRENT:
        return (await model_store.found(digest, log))[1]
    if config is None:
        raise CommandError("give the config whose current network is wanted, such as hex8_2p")
    if (current := await model_store.incumbent(log, config)) is None:
        raise CommandError(f"no network of {config} was promoted yet: see `ringrift model list`")
    return await Blobs(log).get(MODEL_BUCKET, current)


async def _games(log: protocol.Log, config: str, newest: int) -> list[RecordedGame]:
    found: deque[RecordedGame] = deque(maxlen=newest)
    async for fact, _ in read.facts(log, f.GameCompleted, scope=config):
        found.append(RecordedGame.of(fact))
    return list(found)


def _game(found: RecordedGame) -> Game:
    record = found.record
    game = Game(record.config.key, pie=record.pie, lps_rounds=record.lps_rounds)
    for move in record.moves:
        game.play(move)
    return game
