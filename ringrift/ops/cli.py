"""The command line: `ringrift COMMAND`. Each command lives in a module of its own; this file only finds it.

Commands that need numba or torch import them when they run, so that `ringrift status` starts at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import warnings
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from ringrift import __version__
from ringrift.events import EventError, Settings
from ringrift.events.settings import SHARED_MACHINE, from_arguments, from_environment, load
from ringrift.ops.errors import CommandError
from ringrift.streams.errors import StreamError

DATA = Path(os.environ.get("RINGRIFT_DATA", ".ringrift"))
Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. Errors of ours become one line and status 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.words = words
    try:
        return int(options.run(options))
    except (StreamError, EventError, CommandError) as error:
        print(f"ringrift: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print("ringrift: the server did not answer in time; try again, and see `ringrift status`", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringrift", description="Self-play learning for RingRift on an event log.")
    parser.add_argument("--version", action="version", version=f"ringrift {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _up(commands)
    _watch(commands)
    _steer(commands)
    _rebuild(commands)
    _explain(commands)
    _check(commands)
    _measure(commands)
    _strength(commands)
    _models(commands)
    _cluster(commands)
    _nodes(commands)
    return parser


def _up(commands: Any) -> None:
    up = commands.add_parser("up", help="run the loop: server, consumers and a live screen")
    up.add_argument("--config", action="append", help="board and seats, such as hex8_2p; may be given more than once")
    length = up.add_mutually_exclusive_group()
    length.add_argument("--generations", type=int, help="stop when so many networks have been judged")
    length.add_argument("--for", dest="duration", type=_duration, help="stop after a time such as 90s, 30m, 2h")
    up.add_argument("--data", type=Path, default=DATA, help="where the log, blobs and logs lie (default .ringrift)")
    up.add_argument("--server", help="use this NATS server, such as nats://host:4222, in place of an embedded one")
    up.add_argument("--settings", type=Path, help="JSON file with settings")
    up.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, such as training.batch=128")
    up.add_argument("--plain", action="store_true", help="plain lines, also on a terminal")
    up.set_defaults(run=run_up)


def _watch(commands: Any) -> None:
    status = commands.add_parser("status", help="what the system is doing")
    _add_source(status)
    status.set_defaults(run=_later("ringrift.ops.status", "status"))

    events = commands.add_parser("events", help="look at the log").add_subparsers(required=True, metavar="tail|show")
    tail = events.add_parser("tail", help="the newest events, then those to come")
    _add_source(tail)
    tail.add_argument("--subject", default="ringrift.>", help="subject filter, such as 'ringrift.promotion.>'")
    tail.add_argument("--since", help="sequence, time such as 2026-11-21T04:00, or age such as 10m (default: the last 20)")
    tail.add_argument("--no-follow", action="store_true", help="end when all that is stored has been shown")
    tail.set_defaults(run=_later("ringrift.ops.events", "tail"))
    show = events.add_parser("show", help="one event, whole, with its cause")
    _add_source(show)
    show.add_argument("seq", type=int)
    show.add_argument("--stream", default="EVENTS", choices=("EVENTS", "GAMES"))
    show.set_defaults(run=_later("ringrift.ops.events", "show"))

    game = commands.add_parser("game", help="look at a game").add_subparsers(required=True, metavar="show")
    show = game.add_parser("show", help="draw a game's position")
    _add_source(show)
    show.add_argument("game", help="id of a game in the log, or a file with a game record")
    show.add_argument("--ply", type=int, help="position after so many plies (default: the end)")
    show.add_argument("--svg", type=Path, help="write the picture to this file")
    show.set_defaults(run=_later("ringrift.ops.game", "show"))


def _steer(commands: Any) -> None:
    for name, text in (("pause", "stop new work; what is in hand is finished"), ("resume", "end a pause")):
        item = commands.add_parser(name, help=text)
        _add_source(item)
        item.add_argument("--config", help="only this config, such as hex8_2p (default: all)")
        item.add_argument("--kind", default="all", choices=("all", "selfplay", "training", "evaluation"))
        item.add_argument("--why", required=name == "pause", default="", help="the reason, for whoever finds it paused")
        if name == "resume":
            item.add_argument("--all", action="store_true", help="every pause there is")
        item.set_defaults(run=_later("ringrift.ops.control", name))

    letters = commands.add_parser("dlq", help="dead letters").add_subparsers(required=True, metavar="list|show|retry|drop")
    for name, text in (("list", "those nobody has resolved"), ("show", "one letter, whole"),
                       ("retry", "try letters again with this build"), ("drop", "give letters up; their bytes stay")):  # fmt: skip
        item = letters.add_parser(name, help=text)
        _add_source(item)
        if name == "show":
            item.add_argument("number", type=int, help="the number in front of `ringrift dlq list`")
        elif name in ("retry", "drop"):
            item.add_argument("numbers", type=int, nargs="*", metavar="NUMBER", help="numbers in front of `ringrift dlq list`")
            item.add_argument("--all", action="store_true")
        if name == "drop":
            item.add_argument("--why", required=True, help="the reason, which is recorded")
        item.set_defaults(run=_later("ringrift.ops.dlq", f"{name}_letter{'' if name == 'show' else 's'}"))

    breakers = commands.add_parser("breakers", help="nodes and targets that are left alone")
    breakers = breakers.add_subparsers(required=True, metavar="list|reset")
    item = breakers.add_parser("list", help="what is left alone, and why")
    _add_source(item)
    item.set_defaults(run=_later("ringrift.ops.control", "list_breakers"))
    item = breakers.add_parser("reset", help="use a target again at once")
    _add_source(item)
    item.add_argument("target", help="such as node-gpu1")
    item.add_argument("--why", default="reset by hand", help="the reason, which is recorded")
    item.set_defaults(run=_later("ringrift.ops.control", "reset_breaker"))

    metrics = commands.add_parser("metrics", help="what is measured; alert rules and the Grafana board as files")
    metrics = metrics.add_subparsers(required=True, metavar="list|export|check")
    for name, text, function in (("list", "every metric", "list_metrics"), ("export", "write the files", "export"),
                                 ("check", "compare the files with the list", "check")):  # fmt: skip
        item = metrics.add_parser(name, help=text)
        item.add_argument("--root", type=Path, default=Path("."), help="root of the repository")
        item.set_defaults(run=_later("ringrift.ops.monitoring", function))


    settings = commands.add_parser("settings", help="the settings in force; with --set or --settings, others from now on")
    _add_source(settings)
    settings.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one, such as training.batch=128")
    settings.add_argument("--settings", type=Path, help="JSON file with settings")
    settings.add_argument("--why", default="ringrift settings", help="the reason, which is recorded")
    settings.set_defaults(run=_later("ringrift.ops.settings", "settings"))


def _rebuild(commands: Any) -> None:
    replay = commands.add_parser("replay", help="rebuild a projection from the log alone")
    replay = replay.add_subparsers(required=True, metavar="elo")
    elo = replay.add_parser("elo", help="the rating table from the evaluations in the log")
    _add_source(elo)
    elo.add_argument("--until", help="as it was at a sequence or time")
    elo.set_defaults(run=_later("ringrift.ops.replay", "elo"))

    contract = commands.add_parser("contract", help="streams, consumers and schemas as files")
    contract = contract.add_subparsers(required=True, metavar="export|check|apply")
    for name, text in (("export", "write the files"), ("check", "compare the files with the declarations"),
                       ("apply", "create on a server what is missing")):  # fmt: skip
        item = contract.add_parser(name, help=text)
        if name == "apply":
            _add_source(item)
            item.add_argument("--replicas", type=int, help="give every stream so many copies (default: leave as they are)")
        else:
            item.add_argument("--root", type=Path, default=Path("."), help="root of the repository")
        item.set_defaults(run=_later("ringrift.ops.contract", name))

    doctor = commands.add_parser("doctor", help="check this machine and the data directory, say what to do")
    _add_source(doctor)
    doctor.set_defaults(run=_later("ringrift.ops.doctor", "doctor"))


def _explain(commands: Any) -> None:
    why = commands.add_parser("why", help="what an event rests on, down to the games")
    _add_source(why)
    why.add_argument("event", metavar="SEQ|ID", help="sequence, position such as GAMES/7, id of an event, or digest of a network")
    why.add_argument("--svg", type=Path, help="write the tree as a picture to this file")
    why.add_argument("--depth", type=int, help="levels shown (default: all)")
    why.set_defaults(run=_later("ringrift.ops.why", "why"))

    lineage = commands.add_parser("lineage", help="where a network comes from and what came of it")
    _add_source(lineage)
    lineage.add_argument("model", nargs="?", help="digest of a network, or its first 6 digits or more")
    lineage.add_argument("--node", help="instead: networks that saw games of this node")
    lineage.add_argument("--games-of", metavar="MODEL", help="instead: networks that saw games of this network, or of `heuristic`")
    lineage.set_defaults(run=_later("ringrift.ops.why", "lineage"))


    at = commands.add_parser("at", help="the system, or one part of it, as it was")
    _add_source(at)
    at.add_argument("point", metavar="SEQ|TIME", help="sequence, time such as 2026-11-21T04:00, or age such as 10m")
    at.add_argument("projection", nargs="?", help="ratings, generations, settings, pauses, or a decider (default: all)")
    at.set_defaults(run=_later("ringrift.ops.past", "at"))

    diff = commands.add_parser("diff", help="what changed between two points, and which events changed it")
    _add_source(diff)
    for name in ("first", "second"):
        diff.add_argument(name, metavar="SEQ|TIME")
    diff.add_argument("projection", nargs="?", help="as in `ringrift at`")
    diff.set_defaults(run=_later("ringrift.ops.past", "diff"))


    verify = commands.add_parser("verify", help="compare folds, snapshots, decisions and blobs with the log")
    _add_source(verify)
    verify.set_defaults(run=_later("ringrift.ops.verify", "verify"))


    query = commands.add_parser("query", help="SQL over the log: a view for every event type, and ready ones")
    _add_source(query)
    query.add_argument("sql", help="such as 'FROM leaderboard' or 'SELECT config, count(*) FROM game_completed GROUP BY 1'")
    query.set_defaults(run=_later("ringrift.ops.sql", "query"))
    sql = commands.add_parser("sql", help="a prompt for such queries")
    _add_source(sql)
    sql.set_defaults(run=_later("ringrift.ops.sql", "sql"))
    plot = commands.add_parser("plot", help="a picture of one config")
    _add_source(plot)
    plot.add_argument("what", choices=("elo", "throughput", "loss", "cost", "allocation"))
    plot.add_argument("--config", required=True, help="board and seats, such as hex8_2p")
    plot.add_argument("--output", type=Path, required=True, metavar="F.png")
    plot.set_defaults(run=_later("ringrift.ops.sql", "plot"))


    whatif = commands.add_parser("whatif", help="what another policy would have decided on recorded history")
    _add_source(whatif)
    whatif.add_argument("policy", help="a decider, such as promotion, or a Python file with a DECIDER")
    whatif.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting that is another")
    whatif.add_argument("--since", help="from this sequence or time on (default: the beginning)")
    whatif.add_argument("--until", help="up to this sequence or time (default: the end)")
    whatif.add_argument("--plot", type=Path, metavar="F.png", help="draw the decisions over time")
    whatif.set_defaults(run=_later("ringrift.ops.whatif", "whatif"))


def _check(commands: Any) -> None:
    for name, module, text in (
        ("parity", "ringrift.ops.parity", "compare the rules with recorded games of the reference engine"),
        ("search", "ringrift.ops.search", "compare the search with reference cases"),
    ):
        group = commands.add_parser(name, help=text).add_subparsers(required=True, metavar="check")
        check = group.add_parser("check", help=text)
        check.add_argument("files", nargs="+", metavar="FILE")
        check.set_defaults(run=_later(module, "check"))
    harnesses = commands.add_parser("harnesses", help="which player goes with which model and how many seats")
    form = harnesses.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON for scripts")
    form.add_argument("--guide", action="store_true", help="the page docs/harnesses.md")
    harnesses.set_defaults(run=_later("ringrift.ops.harnesses", "harnesses"))
    rating = commands.add_parser("rating", help="ratings and the sequential test").add_subparsers(required=True, metavar="fit|sprt")
    fit = rating.add_parser("fit", help="ratings of the games in a CSV file")
    fit.add_argument("file")
    fit.add_argument("--json", action="store_true")
    fit.set_defaults(run=_later("ringrift.ops.rating", "fit_command"))
    sprt = rating.add_parser("sprt", help="where a sequential test stands")
    sprt.add_argument("--results", required=True, help="counts, worst first: L,D,W or LL,LD,..,WW")
    for name, default in (("elo0", 0.0), ("elo1", 5.0), ("alpha", 0.05), ("beta", 0.05)):
        sprt.add_argument(f"--{name}", type=float, default=default)
    sprt.add_argument("--model", choices=("logistic", "normalized"), default="logistic")
    sprt.add_argument("--json", action="store_true")
    sprt.set_defaults(run=_later("ringrift.ops.rating", "sprt_command"))


def _measure(commands: Any) -> None:
    bench = commands.add_parser("bench", help="measure speed: medians of several runs")
    parts = "rules|log|search|selfplay|loop|replay|cluster"
    bench.add_argument("part", nargs="*", metavar=parts, help="parts to measure (default: all)")
    bench.add_argument("--config", action="append", help="configs to measure (default: one of every board)")
    bench.add_argument("--runs", type=int, default=5)
    bench.add_argument("--events", type=int, default=1_000_000, help="length of the log that is replayed")
    bench.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    bench.add_argument("--json", action="store_true")
    bench.set_defaults(run=_later("ringrift.ops.bench", "bench"))


    fleet = commands.add_parser("fleet", help="the nodes, as the scheduler knows them")
    fleet = fleet.add_subparsers(required=True, metavar="register")
    register = fleet.add_parser("register", help="tell the log what nodes there are, from a TOML file such as ops/fleet.toml")
    _add_source(register)
    register.add_argument("file", type=Path)
    register.set_defaults(run=_later("ringrift.ops.fleet", "register"))

    simulate = commands.add_parser("simulate", help="a fleet under a virtual clock: what the deciders make of it, and what holds")
    simulate.add_argument("--nodes", type=Path, required=True, help="TOML file with the fleet, such as ops/fleet.toml")
    simulate.add_argument("--hours", type=float, default=48.0, help="virtual hours (default 48)")
    simulate.add_argument("--seed", type=int, default=1, help="another number gives another course (default 1)")
    simulate.add_argument("--seeds", type=int, default=1, help="so many seeds, from --seed on (default 1)")
    simulate.add_argument("--faults", type=Path, help="TOML file with what goes wrong, such as ops/faults.toml")
    simulate.add_argument("--compare", action="store_true", help="also without cost awareness, to tell what it saves")
    simulate.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, as in `up`")
    simulate.add_argument("--report", type=Path, metavar="DIR", help="write the findings as JSON and a page of plots")
    simulate.add_argument("--json", action="store_true", help="JSON for scripts")
    simulate.set_defaults(run=_later("ringrift.ops.simulate", "simulate"))


def _strength(commands: Any) -> None:
    strength = commands.add_parser("strength", help="how strong a network is: matches with intervals, a report and a plot")
    _add_match(strength)
    against = "opponents (default: random,heuristic,self2); self2 is the network itself with twice the budget"
    strength.add_argument("--against", type=_words, help=against)
    strength.add_argument("--pairs", type=int, help="starts of a match, each from every seat (default 200; a rung: 100 games)")
    strength.add_argument("--ladder", action="store_true", help="every searching harness, each budget against the one below")
    strength.add_argument("--budgets", type=_numbers, help="budgets of the ladder (default 8,16,32,64,128)")
    strength.add_argument("--report", action="store_true", help="play nothing: the same report from the log again")
    strength.set_defaults(run=_later("ringrift.ops.strength", "strength"))

    gauntlet = commands.add_parser("gauntlet", help="a network under every harness, or against the tiers, or several of them")
    _add_match(gauntlet)
    kind = gauntlet.add_mutually_exclusive_group()
    kind.add_argument("--models", type=_words, help="round robin of these networks: digests or their beginnings, with commas")
    kind.add_argument("--tiers", action="store_true", help="from D1 up: the highest tier it beats")
    gauntlet.add_argument("--pairs", type=int, default=50, help="starts of a match, each played from every seat (default 50)")
    gauntlet.set_defaults(run=_later("ringrift.ops.gauntlet", "gauntlet"))

    tiers = commands.add_parser("tiers", help="who plays the tiers D1 to D10")
    tiers.add_argument("--json", action="store_true", help="JSON for scripts")
    tiers.set_defaults(run=_later("ringrift.ops.gauntlet", "tiers"))


def _add_match(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument("--config", required=True, help="board and seats, such as hex8_2p")
    parser.add_argument("--model", help="digest of a network, or its beginning, or current (default)")
    parser.add_argument("--simulations", type=int, default=64, help="search budget a decision (default 64)")
    parser.add_argument("--seed", type=int, default=1, help="another number gives fresh games (default 1)")


def _words(text: str) -> list[str]:
    """Words with commas between them."""
    return [word for word in text.split(",") if word]


def _numbers(text: str) -> list[int]:
    """Whole numbers above 0 with commas between them."""
    words = _words(text)
    if not all(word.isdecimal() and int(word) for word in words):
        raise argparse.ArgumentTypeError(f"{text!r}: give whole numbers above 0 with commas between them, such as 8,16,32")
    return [int(word) for word in words]


def _models(commands: Any) -> None:
    model = commands.add_parser("model", help="look at networks, make new ones from them")
    model = model.add_subparsers(required=True, metavar="list|show|transfer|export|architectures")
    item = model.add_parser("list", help="every network in the log")
    item.add_argument("--config", help="only those for this board and number of seats")
    item.set_defaults(run=_later("ringrift.ops.model", "list_models"))
    _add_source(item)
    item = model.add_parser("show", help="what is known of a network: its card")
    item.add_argument("model", metavar="DIGEST|FILE", help="digest (six digits or more), or a file")
    item.set_defaults(run=_later("ringrift.ops.model", "show"))
    _add_source(item)
    item = model.add_parser("transfer", help="a start for more seats or another board from a network")
    item.add_argument("--model", required=True, metavar="DIGEST|FILE")
    item.add_argument("--to", required=True, metavar="CONFIG", help="such as square8_4p")
    item.add_argument("--output", type=Path, help="write the new network to this file")
    item.add_argument("--publish", action="store_true", help="put it into the store and tell the log")
    item.set_defaults(run=_later("ringrift.ops.model", "transfer_command"))
    _add_source(item)
    item = model.add_parser("export", help="a network as an ONNX graph that was compared with it")
    item.add_argument("--model", required=True, metavar="DIGEST|FILE")
    item.add_argument("--output", required=True, type=Path)
    item.set_defaults(run=_later("ringrift.ops.model", "export_command"))
    _add_source(item)
    item = model.add_parser("architectures", help="parameters of every architecture by board")
    item.add_argument("--json", action="store_true")
    item.set_defaults(run=_later("ringrift.ops.model", "architectures"))


def _cluster(commands: Any) -> None:
    names = "init|certs|edge|join|grow|up|down|status|kill|partition|heal"
    cluster = commands.add_parser("cluster", help="several servers: their files, a local one for trials")
    cluster = cluster.add_subparsers(required=True, metavar=names)
    module = "ringrift.ops.cluster"
    init = cluster.add_parser("init", help="write the files of every voter and the credentials of every role")
    init.add_argument("--nodes", required=True, help="NAME=HOST[:PORT],... for 1, 3 or 5 voters")
    init.add_argument("--no-users", action="store_true", help="no users and permissions: only behind a firewall")
    init.add_argument("--tls", action="store_true", help="TLS between all, with a certificate authority of its own")
    init.set_defaults(run=_later(module, "init"))
    certs = cluster.add_parser("certs", help="new certificates for voters, by the authority that `init --tls` made")
    certs.add_argument("--nodes", required=True, help="NAME=HOST[:PORT],... as given to init")
    certs.set_defaults(run=_later(module, "certs"))
    edge = cluster.add_parser("edge", help="write the server of a node behind NAT that keeps games while its link is down")
    edge.add_argument("--name", required=True, help="the node")
    edge.add_argument("--nodes", required=True, help="the voters, as given to init")
    edge.add_argument("--port", type=int, default=4222, help="where the edge's server listens on loopback")
    edge.add_argument("--tls", action="store_true")
    edge.set_defaults(run=_later(module, "edge"))
    for item in (init, certs, edge):
        item.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the cluster's files are")
    join = cluster.add_parser("join", help="let the cluster fetch what an edge has: --server names the cluster, --edge the edge")
    _add_source(join)
    join.add_argument("--name", required=True, help="the node, as given to `cluster edge`")
    join.add_argument("--edge", required=True, help="URL of the edge's own server")
    join.set_defaults(run=_later(module, "join"))
    grow = cluster.add_parser("grow", help="more replicas; with --from, everything of a single server onto a new cluster first")
    _add_source(grow)
    grow.add_argument("--replicas", type=int, default=3)
    grow.add_argument("--from", dest="origin", help="URL of the single server, which nobody may write to meanwhile")
    grow.set_defaults(run=_later(module, "grow"))
    for name, text in (("up", "start a cluster on this machine"), ("down", "stop it"), ("status", "how it is"),
                       ("kill", "kill -9 one server"), ("partition", "cut servers off from the others"),
                       ("heal", "end all cuts")):  # fmt: skip
        item = cluster.add_parser(name, help=text)
        item.add_argument("--data", type=Path, default=DATA / "cluster", help="where it lies (default .ringrift/cluster)")
        if name == "up":
            item.add_argument("--nodes", type=int, default=3, help="3 or 5 servers, when it is made")
            item.add_argument("--users", action="store_true", help="with users and permissions")
            item.add_argument("--tls", action="store_true", help="with TLS")
        elif name == "kill":
            item.add_argument("node")
        elif name == "partition":
            item.add_argument("node", nargs="+")
        elif name == "status":
            item.add_argument("--json", action="store_true", help="JSON for scripts")
        item.set_defaults(run=_later(module, name))


def _nodes(commands: Any) -> None:
    node = commands.add_parser("node", help="this machine as a node of a cluster").add_subparsers(required=True, metavar="run")
    item = node.add_parser("run", help="keep running what the roles, the GPU and the memory allow")
    item.add_argument("--roles", required=True, help="one or more of worker,trainer,evaluator,brain")
    server = os.environ.get("RINGRIFT_SERVER", "nats://127.0.0.1:4222")
    item.add_argument("--server", default=server, help="URLs of the voters")
    item.add_argument("--edge", default=os.environ.get("RINGRIFT_EDGE"), help="URL of this node's edge, which keeps its games")
    item.add_argument("--credentials", type=Path, metavar="DIR", help="folder with ROLE.txt for each role")
    item.add_argument("--data", type=Path, default=DATA, help="where the logs of its processes lie (default .ringrift)")
    item.add_argument("--node", default=os.environ.get("RINGRIFT_NODE"), help="name of this machine in facts (default: host name)")
    item.add_argument("--provider", default=os.environ.get("RINGRIFT_PROVIDER", ""), help="who rents it out")
    item.add_argument("--price", type=float, default=os.environ.get("RINGRIFT_PRICE", "0"), help="what an hour of it costs")
    item.add_argument("--update-command", default="", metavar="SHELL", help="run for `ringrift update`, such as 'git pull'")
    item.add_argument("--rollback-command", default="", metavar="SHELL", help="run to take it back")
    item.set_defaults(run=_later("ringrift.ops.node", "run"))

    update = commands.add_parser("update", help="the new program on every node and server, one quorum-safe step at a time")
    _add_source(update)
    update.add_argument("--safe", action="store_true", help="do it")
    update.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    update.add_argument("--skip-voters", action="store_true", help="leave the servers as they are")
    timeout = "seconds in which a node or server must be back and current"
    update.add_argument("--convergence-timeout", type=float, default=180.0, metavar="SECONDS", help=timeout)
    update.set_defaults(run=_later("ringrift.ops.update", "update"))


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=DATA, help="data directory of `ringrift up` (default .ringrift)")
    parser.add_argument("--server", default=os.environ.get("RINGRIFT_SERVER"), help="URL of a NATS server")
    parser.add_argument("--json", action="store_true", help="JSON for scripts")


def _later(module: str, name: str) -> Command:
    """The function `name` of `module`, imported when it is called; coroutines are run."""

    def run(options: argparse.Namespace) -> int:
        import importlib

        outcome: int | Coroutine[Any, Any, int] = getattr(importlib.import_module(module), name)(options)
        return outcome if isinstance(outcome, int) else asyncio.run(outcome)

    return run


def run_up(options: argparse.Namespace) -> int:
    """`ringrift up`."""
    from ringrift.ops.settings import with_known_architecture
    from ringrift.ops.up import up

    given = from_arguments(options.set)
    file = options.settings.read_bytes() if options.settings else None
    defaults = None if options.server else SHARED_MACHINE

    def settings(in_force: Settings | None) -> Settings:
        chosen = load(from_environment(os.environ), given, file=file, base=in_force or defaults)
        if options.config:
            chosen = load({"configs": ",".join(options.config)}, base=chosen)
        if options.generations is not None or in_force is None or options.duration is not None:
            chosen = load({"generations": str(options.generations or 0)}, base=chosen)
        return with_known_architecture(chosen)

    warnings.filterwarnings("default", category=DeprecationWarning, module="ringrift")  # elsewhere they are hidden
    settings(None)  # a bad setting is refused before anything starts
    work = up(
        settings=settings, data=options.data, server=options.server, for_seconds=options.duration, plain=options.plain,
        command=options.words,
    )  # fmt: skip
    return asyncio.run(work)


def _duration(text: str) -> float:
    """Seconds of a time such as 90s, 30m, 2h, 1d."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write a number with s, m, h or d, such as 30m")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


if __name__ == "__main__":
    sys.exit(main())
