"""`ringrift contract export|check|apply`: the definitions at the root of the repository, and on a
server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from ringrift.cli.source import opened
from ringrift.errors import CommandError
from ringrift.runtime.process_tables import tables
from ringrift.server import contract
from ringrift.server.ensure import ensure
from ringrift.server.grow import set_replicas

EXIT_DIFFERENT = 1


def export(options: argparse.Namespace) -> int:
    """Write the files; names those that changed."""
    _require_root(options.root)
    for path in contract.export(options.root, tables()):
        print(f"{'written' if (options.root / path).exists() else 'removed'}  {path}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Name the files that differ from the declarations; 1 if there are any."""
    _require_root(options.root)
    differing = contract.check(options.root, tables())
    for path in differing:
        print(f"not as declared: {path}")
    print("run `ringrift contract export` and commit" if differing else "the files are as declared")
    return EXIT_DIFFERENT if differing else 0


async def apply(options: argparse.Namespace) -> int:
    """Create on a server what is missing, say what is not as declared; 1 if something is not.

    `--replicas` is for what is there, too."""
    async with opened(options) as log:
        if options.replicas is not None:
            await set_replicas(
                log.ask, options.replicas, report=lambda text: print(text, file=sys.stderr)
            )
        drift = await ensure(log.ask, replicas=options.replicas)
    if options.json:
        print(msgspec.json.encode({"drift": drift}).decode())
    else:
        for item in drift:
            print(f"not as declared: {item}")
        remedy = "change it with `nats stream edit` or `nats consumer edit`"
        print(remedy if drift else "all streams, buckets and consumers are as declared")
    return EXIT_DIFFERENT if drift else 0


def _require_root(root: Path) -> None:
    """Files are only written where a repository is."""
    if not (root / "pyproject.toml").is_file():
        raise CommandError(
            f"{root.resolve()} is not the root of the repository: run this there, or name it with --root"
        )
