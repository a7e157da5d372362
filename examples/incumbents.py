"""A sample consumer: keeps a CSV file of every change of a current network, and reports once a
minute how many games were played since.

    python examples/incumbents.py --server nats://127.0.0.1:4222 --output incumbents.csv

It only reads, so the rights of a viewer are enough. It may be stopped and started at any time: it
goes on after the last line that it wrote."""

import argparse
import asyncio
import csv
import signal
from collections.abc import Callable
from pathlib import Path

from ringrift.events import EventMeta
from ringrift.events.facts import IncumbentChanged, ModelPromoted, ModelRolledBack, SelfplayFinished
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.host import node_name
from ringrift.runtime.process import Process

NAME = "incumbents"
CYCLE_SECONDS = 60.0
HEAD = ("sequence", "time", "config", "change", "network", "why")


class Incumbents:
    """The file, and the games since the last report."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.games = 0
        self.handlers: dict[type, Callable[..., None]] = {
            ModelPromoted: self.changed,
            ModelRolledBack: self.changed,
            SelfplayFinished: self.played,
        }

    def position(self) -> int:
        """The sequence of the last event in the file; a new file begins with the head."""
        if not self.output.exists():
            self._write(HEAD)
        *_, last = self.output.read_text().splitlines()
        number = last.partition(",")[0]
        return int(number) if number.isdecimal() else 0

    def changed(self, fact: IncumbentChanged, meta: EventMeta) -> None:
        """Write a line: another network is current."""
        time, change = meta.time.isoformat(timespec="seconds"), type(fact).__name__
        self._write((meta.seq, time, fact.config, change, fact.current, fact.why))

    def played(self, fact: SelfplayFinished, meta: EventMeta) -> None:
        """Count games."""
        self.games += fact.games

    def _write(self, row: tuple[object, ...]) -> None:
        with self.output.open("a", newline="") as file:
            csv.writer(file).writerow(row)

    async def cycle(self, process: Process) -> None:
        """Report every minute until the process is stopped."""
        while not process.stopping:
            await process.wait(CYCLE_SECONDS)
            process.logger.info("games played", games=self.games)
            self.games = 0


async def main(process: Process, output: Path) -> None:
    """Follow the log from where the file ends until the process is stopped."""
    work = Incumbents(output)
    facts = read.follow(process.log, *work.handlers, after=work.position())
    async with process.background({"cycle": lambda: work.cycle(process)}):
        async for fact, meta in process.until_stopped(facts):
            work.handlers[type(fact)](fact, meta)


async def run(server: str, output: Path) -> None:
    """Connect, and work until SIGTERM or Ctrl-C."""
    log = await JetStreamLog.open(server, name=NAME)
    process = Process(NAME, node_name(), log)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, process.stop)
    try:
        await main(process, output)
    finally:
        await log.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="nats://127.0.0.1:4222", help="URL of a NATS server")
    parser.add_argument("--output", type=Path, default=Path("incumbents.csv"), help="CSV file")
    options = parser.parse_args()
    asyncio.run(run(options.server, options.output))
