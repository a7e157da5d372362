"""The command line: `ringrift COMMAND`. The parsers are in `ringrift.ops.commands`, each command in
a module of its own.

Commands that need numba or torch import them when they run, so that `ringrift status` starts at
once."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from ringrift import __version__
from ringrift.cli.commands import checks, fleet, history, loop, players, steering
from ringrift.errors import CommandError
from ringrift.events import EventError
from ringrift.log.errors import StreamError

COMMANDS = (
    loop.up,
    loop.status,
    loop.events,
    loop.game,
    steering.pause,
    steering.retract,
    steering.reanalyse,
    steering.tune,
    steering.dlq,
    steering.breakers,
    checks.metrics,
    steering.settings,
    history.replay,
    checks.contract,
    checks.doctor,
    history.why,
    history.lineage,
    history.at,
    history.diff,
    history.verify,
    history.query,
    history.plot,
    history.whatif,
    checks.references,
    players.harnesses,
    checks.rating,
    checks.bench,
    fleet.fleet,
    fleet.simulate,
    players.strength,
    players.gauntlet,
    players.tiers,
    players.model,
    fleet.cluster,
    fleet.node,
    fleet.update,
)
"""what adds their parsers, in the order of `ringrift --help`"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. Errors of ours become one line and status 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(words)
    options.words = words
    try:
        return int(options.run(options))
    except (StreamError, EventError, CommandError) as error:
        print(f"ringrift: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print(
            "ringrift: the server did not answer in time; try again, and see `ringrift status`",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:  # by SIGTERM
        return 143
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; `run` of what it returns is the function to call."""
    found = argparse.ArgumentParser(
        prog="ringrift", description="Self-play learning for RingRift on an event log."
    )
    found.add_argument("--version", action="version", version=f"ringrift {__version__}")
    commands = found.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return found


if __name__ == "__main__":
    sys.exit(main())
