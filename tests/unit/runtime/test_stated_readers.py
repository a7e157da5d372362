"""The table of processes says who reads which fact; the code of each process agrees."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from ringrift.events import tickets
from ringrift.runtime import processes
from ringrift.runtime.processes import PROCESSES, READ_BY_ALL

ROOT = Path(processes.__file__).parents[2]
ROOMS = ("consumers", "runtime", "learning", "deciders")
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
    assert {kind.__name__ for kind in stated} <= named
