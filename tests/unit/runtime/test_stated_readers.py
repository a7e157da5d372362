"""The table of processes says who reads which fact; the code of each process agrees."""

from __future__ import annotations

import ast
import asyncio
import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.system import System, running

from ringrift.consumers import hook
from ringrift.deciders.fleet.troubles import RULES_OF
from ringrift.events import REGISTRY, EventType, facts as f, tickets
from ringrift.runtime import processes
from ringrift.runtime.process import Process
from ringrift.runtime.processes import KEYS, PROCESSES, READ_BY_ALL
from ringrift.tools.memory_log import MemoryBroker, MemoryLog

ROOT = Path(processes.__file__).parents[2]
ROOMS = ("consumers", "runtime", "learning", "deciders", "trust")
TABLE = Path(processes.__file__)
GROUPS = {"REQUESTS", "OUTCOMES"}
"""names of groups of facts, in `ringrift.events.tickets`"""


@cache
def code_of(name: str) -> str:
    """The source of a process: its module and every module of the rooms that it imports, but for
    the table itself."""
    waiting, seen = [ROOT / f"ringrift/consumers/{name}.py"], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen or path == TABLE or not path.is_file():
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if node.module.split(".")[:1] == ["ringrift"] and node.module.split(".")[1:2]:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                if node.module.split(".")[1] in ROOMS:
                    waiting += [ROOT / f"{module.replace('.', '/')}.py" for module in modules]
    return "\n".join(path.read_text() for path in sorted(seen))


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_reads_what_the_table_says(name: str) -> None:
    words = set(re.findall(r"\w+", code_of(name)))
    groups = [getattr(tickets, group) for group in words & GROUPS]
    named = words | {kind.__name__ for kinds in groups for kind in kinds}
    stated = (*PROCESSES[name].own_reads, *READ_BY_ALL)
    # the log itself reads the facts about keys, for every process
    assert {kind.__name__ for kind in stated if kind not in KEYS} <= named


class Traced(MemoryLog):
    """Notes which facts are asked for: streams with filters of subjects."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.asked: set[tuple[str, str]] = set()

    def read(self, stream: str, **span: Any) -> Any:
        self._note(stream, span)
        return super().read(stream, **span)

    def replay(self, stream: str, **span: Any) -> Any:
        self._note(stream, span)
        return super().replay(stream, **span)

    def follow(self, stream: str, **span: Any) -> Any:
        self._note(stream, span)
        return super().follow(stream, **span)

    def _note(self, stream: str, span: dict[str, Any]) -> None:
        self.asked |= {(stream, filter) for filter in span.get("filters", (">",))}


@pytest.mark.parametrize("name", PROCESSES)
async def test_what_an_idle_process_asks_for_is_what_the_table_says(
    name: str, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker asks for more once it has a ticket, the auditor once there are games, the exporter
    once another implementation of the rules judges all of them, the renter if it has a hook."""

    async def call(*_: object) -> hook.Answer:
        return hook.Answer(instances=())

    monkeypatch.setenv(hook.HOOK, "a hook")
    monkeypatch.setattr(hook, "call", call)
    spec, log = PROCESSES[name], Traced(system.broker)
    main = importlib.import_module(f"ringrift.consumers.{name}").main
    async with running(main(Process(name, "test", log, system.clock))):
        await asyncio.sleep(120.0)
    own = {kind for decider in spec.deciders for kind in decider.writes}
    named = {
        kind.fact_type
        for kind in REGISTRY.values()
        if (kind.stream, kind.subject_filter) in log.asked
    }
    assert named <= spec.reads | own
    if spec.work is None and name != "auditor":
        wide = {(stream, filter) for stream, filter in log.asked if filter.endswith(">")}
        missing = [
            kind.__name__
            for kind in set(spec.own_reads) - named
            if not any(covers(one, kind.event_type) for one in wide)
            and not (name == "exporter" and kind in (f.ParityConfirmed, f.ParityRejected))
        ]
        assert missing == []


def covers(asked: tuple[str, str], kind: EventType) -> bool:
    """Whether facts of a type match a stream and a filter that ends in `>`."""
    stream, filter = asked
    return kind.stream == stream and kind.subject_filter.startswith(filter.removesuffix(">"))


def test_the_alerter_reads_what_its_rules_and_handlers_name() -> None:
    """Its handler of the rules takes every fact, so the table names those of the rules."""
    handled = {f.ShardExported, f.VelocityChanged, f.UtilisationSampled}
    handled |= {f.PromotionRejected, f.DeadLetterEscalated, f.DeadLetterResolved}
    posted = {f.AlertRaised, f.AlertCleared, f.AlertDelivered, f.AlertDeliveryFailed}
    assert set(PROCESSES["alerter"].own_reads) == handled | posted | RULES_OF.keys()
