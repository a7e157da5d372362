"""The command line: `ringrift COMMAND`.

`COMMANDS` names the function of each command; `ringrift.cli.common` explains how to write one. A
command's module is imported only when the command runs or its own help page is shown. Summaries in
lists of commands are the first lines of the functions' docstrings, read without importing them."""

import ast
import asyncio
import difflib
import errno
import io
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import cyclopts

from ringrift import __version__
from ringrift.cli import WORDS
from ringrift.cluster.terminal import complain
from ringrift.errors import RingRiftError

COMMANDS = {
    "Run the loop": {
        "up": "up:up",
        "web": "web:web",
        "pause": "steering:pause",
        "resume": "steering:resume",
        "settings": "steering:settings",
        "tune": "steering:tune",
        "experiment start": "experiments:start",
        "experiment list": "experiments:list_experiments",
        "experiment show": "experiments:show_experiment",
        "experiment stop": "experiments:stop",
        "train": "train:train",
    },
    "Look": {
        "watch": "watch:watch",
        "status": "status:status",
        "scorecard": "status:scorecard",
        "events tail": "events:tail",
        "events show": "events:show_event",
        "game show": "explain:show_game",
        "game replay": "replaying:replay_game",
        "at": "explain:at",
        "diff": "explain:diff",
        "query": "sql:query",
        "sql": "sql:sql",
        "plot": "sql:plot",
        "export tensorboard": "export:tensorboard",
        "export games": "export:games",
        "export samples": "export:samples",
        "export facts": "export:facts",
    },
    "Explain": {
        "why": "explain:why",
        "lineage": "explain:lineage",
        "whatif": "explain:whatif",
        "replay elo": "explain:replay_elo",
        "verify": "explain:verify",
        "certificate show": "certificates:show_certificate",
        "certificate export": "certificates:export",
        "certificate verify": "certificate_check:verify",
        "proof inclusion": "certificates:inclusion",
        "proof consistency": "certificates:consistency",
        "proof verify": "certificate_check:verify_proof",
    },
    "Play and measure": {
        "play": "play:play",
        "analyse": "analyse:analyse",
        "engine": "analyse:engine",
        "strength": "measure:strength",
        "gauntlet": "measure:gauntlet",
        "tiers": "measure:tiers",
        "harnesses": "measure:harnesses",
        "model list": "models:list_models",
        "model show": "models:show_model",
        "model transfer": "models:transfer",
        "model fetch": "models:fetch",
        "model import": "models:import_model",
        "model promote": "models:promote",
        "model keep": "models:keep",
        "model archive": "models:archive",
        "model rollback": "models:rollback",
        "model architectures": "models:architectures",
        "rating people": "sql:people",
        "rating fit": "rating:fit",
        "rating sprt": "rating:sprt",
        "bench": "bench:bench",
        "simulate": "simulate:simulate",
    },
    "Old and other systems": {"import": "importing:games"},
    "Repair": {
        "dlq list": "dlq:list_dead_letters",
        "dlq show": "dlq:show_dead_letter",
        "dlq retry": "dlq:retry_dead_letters",
        "dlq drop": "dlq:drop_dead_letters",
        "breakers list": "steering:list_breakers",
        "breakers reset": "steering:reset_breaker",
        "retract": "revise:retract",
        "reanalyse": "revise:reanalyse",
    },
    "Cluster": {
        "cluster init": "cluster:init",
        "cluster certs": "cluster:certs",
        "cluster edge": "cluster:edge",
        "cluster join": "cluster:join",
        "cluster grow": "cluster:grow",
        "cluster backup": "cluster:backup",
        "cluster backups": "cluster:backups",
        "cluster restore": "cluster:restore",
        "cluster replace": "membership:replace",
        "cluster add": "membership:add",
        "cluster rescue": "rescue:rescue",
        "cluster repair": "rescue:repair",
        "cluster up": "local_cluster:up",
        "cluster down": "local_cluster:down",
        "cluster status": "local_cluster:status",
        "cluster kill": "local_cluster:kill",
        "cluster partition": "local_cluster:partition",
        "cluster heal": "local_cluster:heal",
        "voter check": "voter:check",
        "voter disk": "voter:disk",
        "node run": "nodes:run",
        "node key": "identity:key",
        "node admit": "identity:admit",
        "node revoke": "identity:revoke",
        "node list": "identity:list_nodes",
        "node require-signatures": "identity:require",
        "update": "nodes:update",
        "fleet register": "fleet:register",
        "fleet unregister": "fleet:unregister",
        "fleet list": "fleet:list_nodes",
        "fleet show": "fleet:show_node",
        "fleet costs": "fleet:list_costs",
        "fleet forget": "fleet:forget",
        "fleet reserve": "fleet:reserve",
        "fleet release": "fleet:release",
        "fleet scale": "fleet:scale",
        "fleet drain": "fleet:drain",
        "fleet act": "fleet:act",
    },
    "Check": {
        "doctor": "doctor:doctor",
        "context": "context:context",
        "contract export": "contract:export",
        "contract check": "contract:check",
        "contract apply": "contract:apply",
        "metrics list": "contract:list_metrics",
        "metrics export": "contract:export_monitoring",
        "metrics check": "contract:check_monitoring",
        "parity check": "checks:parity",
        "search check": "checks:search",
    },
}
"""`module:function` in `ringrift.cli` of every command, grouped as `ringrift --help` shows them"""

FAMILIES = {
    "events": "Look at events in the log.",
    "experiment": "Try other settings of training against the present ones, side by side.",
    "export": "Write the log in the formats of other programs.",
    "certificate": "Show why a network was promoted, to people without the log too.",
    "proof": "Show that the log has an event, or only grew, to people without the log too.",
    "game": "Look at a game, and play it again.",
    "replay": "Rebuild a projection from the log alone.",
    "model": "Look at networks, derive new ones, and decide which is current.",
    "rating": "Compute ratings and sequential tests.",
    "dlq": "Look at dead letters and resolve them.",
    "breakers": "Look at quarantined nodes and targets.",
    "cluster": "Write the files of a cluster, grow and back it up, or run one on this machine.",
    "voter": "Look after the server of a voter.",
    "node": "Run this machine as a node of a cluster, and decide whose facts count.",
    "fleet": "Look at the nodes of the fleet, register, reserve, rent, drain and forget them.",
    "contract": "Streams, consumers and schemas as files.",
    "metrics": "Metrics, alert rules and the Grafana dashboard.",
    "parity": "Compare the rules with the reference engine.",
    "search": "Compare the search with reference cases.",
}
"""summaries of the commands that consist of others"""
EXIT_USAGE, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Expected errors are printed in one line, with status 1; wrong usage has status 2."""
    words = tuple(sys.argv[1:] if arguments is None else arguments)
    WORDS.set(words)
    _prepare_streams()
    try:
        " ".join(words).encode()
        status = int(application(words)(words) or 0)
        sys.stdout.flush()
        return status
    except cyclopts.UnknownCommandError as error:
        _complain(_unknown(error))
        return EXIT_USAGE
    except cyclopts.CycloptsError as error:
        page = " ".join(("ringrift", *(error.command_chain or ()), "--help"))
        _complain(f"{_wrong_usage(error)}\nsee `{page}`")
        return EXIT_USAGE
    except RingRiftError as error:
        _complain(str(error))
        return 1
    except TimeoutError:
        _complain("the server did not answer in time; try again, and see `ringrift status`")
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except asyncio.CancelledError:  # by SIGTERM
        return EXIT_TERMINATED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _discard_output()
        return 0
    except UnicodeError as error:
        _complain(f"not valid UTF-8: {error}")
        return EXIT_USAGE
    except OSError as error:  # such as a file that cannot be written
        _discard_output()
        remedy = "; free some and run it again" if error.errno == errno.ENOSPC else ""
        _complain(f"{error.filename or 'system'}: {error.strerror or error}{remedy}")
        return 1


def _prepare_streams() -> None:
    """Let a standard stream that is closed lead nowhere, and write characters that the terminal
    does not know as escapes."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Write what is printed, or nothing from now on if that fails: else the interpreter tries again
    at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def application(words: Sequence[str]) -> cyclopts.App:
    """The parser of all commands. It has summaries of commands only if `words` ask for a list of
    commands, because cyclopts shows a summary instead of the command's own help page."""
    named = " ".join(takewhile(lambda word: not word.startswith("-"), words))
    app = cyclopts.App(
        name="ringrift",
        help="Self-play learning for the board game RingRift on an event log.",
        version=f"ringrift {__version__}",
        help_format="plaintext",
        default_parameter=cyclopts.Parameter(negative=(), show_default=_shown_default),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    app.register_install_completion_command(help="Install completion for this shell.")
    parents = {"": app}
    for title, commands in COMMANDS.items():
        group = cyclopts.Group.create_ordered(title)
        for number, (name, place) in enumerate(commands.items()):
            family, _, last = name.rpartition(" ")
            if family not in parents:
                parents[family] = cyclopts.App(
                    name=family, help=FAMILIES[family], group=group, sort_key=number
                )
                app.command(parents[family])
            summary = _summary(place) if named == family else None
            parents[family].command(
                f"ringrift.cli.{place}",
                name=last,
                help=summary,
                group=None if family else group,
                sort_key=number,
            )
    app.group_commands = cyclopts.Group.create_ordered("This program")
    return app


def _shown_default(value: object) -> str | None:
    """How a help page shows the default of an option; None does not show it."""
    return None if value is None or value is False or value in ("", ()) else str(value)


def _summary(place: str) -> str:
    """The first paragraph of the docstring of the function `module:function` of `ringrift.cli`."""
    module, _, name = place.partition(":")
    for item in ast.parse(Path(__file__).with_name(f"{module}.py").read_text()).body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == name:
            return (ast.get_docstring(item) or "").partition("\n\n")[0]
    raise AssertionError(f"{place} does not exist")


def _wrong_usage(error: cyclopts.CycloptsError) -> str:
    """The message of an error, reworded where that of cyclopts is hard to read."""
    if isinstance(error, cyclopts.UnusedCliTokensError):
        return f"unexpected arguments: {' '.join(error.unused_tokens or ())}"
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        missing = f"{error.argument.name} is missing"
        return f"{error.keyword} needs a value" if error.keyword else missing
    return str(error)


def _unknown(error: cyclopts.UnknownCommandError) -> str:
    """The answer to a command that does not exist: the nearest one and the list."""
    assert error.app is not None
    assert error.unused_tokens
    *family, wrong = *(error.command_chain or ()), error.unused_tokens[0]
    known = [name for name in error.app if not name.startswith("-")]
    near = difflib.get_close_matches(wrong, known, n=1)
    hint = f"; did you mean `{' '.join((*family, *near))}`?" if near else ""
    given = f"command `{' '.join((*family, wrong))}`"
    if wrong.startswith("-"):
        given = f"option {wrong} before a command"
    return f"there is no {given}{hint}\ncommands: {', '.join(known)}"


def _complain(text: str) -> None:
    complain(f"ringrift: {text}")


if __name__ == "__main__":
    sys.exit(main())
