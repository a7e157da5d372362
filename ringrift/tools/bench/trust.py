"""Cost of trust: signing, verifying and hashing events, appending and reading them signed, and
playing games again."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from ringrift.events import Fact, draft, encode
from ringrift.events.facts import (
    EvaluationScored,
    GameCompleted,
    ModelPromoted,
    PromotionAttested,
    SelfplayPlanned,
)
from ringrift.events.merkle import Tree, includes, leaf_hash
from ringrift.events.sealing import seal_of, sealed, sealed_together
from ringrift.events.settings import SelfplaySettings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.learning.play import Host, play_games
from ringrift.learning.shards import check_game
from ringrift.log import read
from ringrift.log.identity import NodeKey
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.keyring import holds, is_signed, verify_in_parallel
from ringrift.server.address import read_address
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Ratio, Scope
from ringrift.tools.bench.log import BenchEvents, fresh_log, served
from ringrift.tools.memory_log import MemoryLog
from ringrift.trust import attesting, certificate

EVENTS, PROOFS = 2_000, 1_000
BATCHES = (1, 10, 100)
GAMES, SIMULATIONS = 32, 16
SCORES, COORDINATORS = 40, 4
"""of a certificate"""
OFFLINE = "import sys; from ringrift.cli.main import main; sys.exit(main())"


def _rate(work: Callable[[], int], clock: Callable[[], float] = time.process_time) -> float:
    """Pieces of work in a second, by default of one core."""
    start = clock()
    return work() / (clock() - start)


async def benchmarks(scope: Scope) -> Benchmarks:
    """All measurements: seconds are those of a core, except in parallel."""
    key, source = NodeKey.new(), BenchEvents()
    bodies = [encode(item) for item in source.take(EVENTS)]
    seals = [seal for body in bodies if (seal := seal_of(sealed(body, key)))]
    leaves = [leaf_hash(body) for body in bodies]
    tree = Tree(leaves)
    root, paths = tree.root(EVENTS), [tree.inclusion(index, EVENTS) for index in range(PROOFS)]

    def sign() -> int:
        return sum(len(sealed(body, key)) > 0 for body in bodies)

    def sign_together() -> int:
        parts = [bodies[at : at + BATCHES[-1]] for at in range(0, EVENTS, BATCHES[-1])]
        return sum(len(sealed_together(part, key)) for part in parts)

    def verify() -> int:
        return sum(map(holds, seals))

    def remember() -> int:
        return sum(map(is_signed, seals))

    def prove() -> int:
        return sum(includes(leaves[at], at, EVENTS, path, root) for at, path in enumerate(paths))

    per_second = "events/s"
    yield Benchmark("trust/encode", per_second, lambda: _rate(lambda: _encoded(source)))
    yield Benchmark("trust/sign", per_second, lambda: _rate(sign))
    yield Benchmark("trust/sign batches", per_second, lambda: _rate(sign_together))
    yield Benchmark("trust/verify", per_second, lambda: _rate(verify))
    wall = time.perf_counter
    in_parallel = partial(_rate, lambda: sum(verify_in_parallel(seals)), wall)
    yield Benchmark("trust/verify on all cores", per_second, in_parallel)
    yield Benchmark("trust/verify again", per_second, lambda: _rate(remember), warm_up=True)
    yield Benchmark("trust/hash", per_second, lambda: _rate(lambda: Tree(leaves).size))
    yield Benchmark("trust/check proof", "proofs/s", lambda: _rate(prove))
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as folder:
        files = await _certified(Path(folder), source)
        yield Benchmark("trust/verify certificate", "s", lambda: _verified(*files), warm_up=True)
    games = _games()
    yield Benchmark("trust/sign games", "% of play", lambda: _signing(games, key))
    recount = partial(_rate, lambda: len([check_game(game) for game in games]))
    yield Benchmark("trust/play game again", "games/s", recount, warm_up=True)
    for name, signer in (("unsigned", None), ("signed", key)):
        async with fresh_log() as log:
            await _append(log, source, signer, BATCHES[-1])
            run = partial(_read, log)
            yield Benchmark(f"trust/read {name}", per_second, run, warm_up=True)
    yield Ratio("trust/read signed", "trust/read unsigned")
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as data:
        async with served(Path(data)) as log:
            server = read_address(Path(data))
            assert server is not None
            for batch in BATCHES:
                for name, signer in (("unsigned", None), ("signed", key)):
                    run = partial(_append, log, source, signer, batch, server.pid)
                    yield Benchmark(f"trust/append {batch} {name}", "us/event", run, warm_up=True)
                yield Ratio(f"trust/append {batch} signed", f"trust/append {batch} unsigned")


async def _certified(folder: Path, source: BenchEvents) -> tuple[Path, Path]:
    """A certificate that four coordinators attest, and the file of their keys."""
    log, model = MemoryLog(), "a" * 64
    score = EvaluationScored(
        config="hex8_2p",
        generation=1,
        ticket="evaluation-1",
        candidate="a",
        candidate_model=model,
        opponent="b",
        purpose="random",
        round=0,
        games=2,
        wins=2.0,
        scores=((1.0, 1),),
        rankings=(),
        play_seconds=1.0,
        node="c1",
    )
    promotion = ModelPromoted(
        config="hex8_2p",
        settings_version=1,
        generation=1,
        model=model,
        previous=None,
        evidence=None,
        why="test",
    )
    signers = {f"c{number}": NodeKey.new() for number in range(1, COORDINATORS + 1)}

    async def write(node: str, fact: Fact, key: str | int = 0) -> int:
        log.signer = signers[node]
        (seq,) = await log.append([draft(fact, cause=None, source=f"verifier@{node}", key=key)])
        return seq

    await log.append(source.take(EVENTS // 2))
    for number in range(SCORES):
        await write("c1", score, number)
    size = await write("c1", promotion)
    root = (await attesting.certify(log, model)).root
    for node in signers:
        said = PromotionAttested(
            config="hex8_2p", node=node, model=model, promotion=size, root=root
        )
        await write(node, said, node)
    found = await attesting.certify(log, model)
    keys = [certificate.Key(node, one.key, ("coordinator",)) for node, one in signers.items()]
    paths = folder / "certificate.json", folder / "keys.json"
    paths[0].write_bytes(certificate.encoded(found))
    paths[1].write_bytes(msgspec.json.encode(certificate.Keys(tuple(keys))))
    return paths


def _verified(path: Path, keys: Path) -> float:
    """Seconds of the whole command, the start of the interpreter included."""
    words = ["certificate", "verify", str(path), "--keys", str(keys), "--attested"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", OFFLINE, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _games() -> list[GameCompleted]:
    """Games of self-play, with little search."""
    plan = SelfplayPlanned(
        config="hex8_2p",
        settings_version=1,
        generation=0,
        games=GAMES,
        games_per_ticket=GAMES,
        simulations=SIMULATIONS,
        model=None,
        seed=1,
    )
    (ticket,) = tickets_of(plan, "EVENTS/1")
    assert isinstance(ticket, SelfplayTicket)
    return list(play_games(ticket, SelfplaySettings(), Host(node="bench", threads=1)))


def _signing(games: Sequence[GameCompleted], key: NodeKey) -> float:
    """Processor time of signing games, in percent of the time that they took."""
    bodies = [encode(draft(game, cause="EVENTS/1", source="bench@node")) for game in games]
    start = time.process_time()
    for body in bodies:
        sealed(body, key)
    spent = time.process_time() - start
    return 100.0 * spent / sum(game.play_seconds for game in games)


async def _read(log: JetStreamLog) -> float:
    """Events a second, by processor time of this process."""
    start = time.process_time()
    count = len([None async for _ in read.facts(log)])
    return count / (time.process_time() - start)


def _encoded(source: BenchEvents) -> int:
    return len([encode(item) for item in source.take(EVENTS)])


async def _append(
    log: JetStreamLog,
    source: BenchEvents,
    signer: NodeKey | None,
    batch: int,
    server: int | None = None,
) -> float:
    """Microseconds of processor time an event, of this process and of that of the server."""
    log.signer = signer
    batches = [source.take(batch) for _ in range(EVENTS // batch)]
    start = _spent(server)
    for one in batches:
        await log.append(one)
    return 1e6 * (_spent(server) - start) / EVENTS


def _spent(server: int | None) -> float:
    """Processor time so far, in seconds."""
    if server is None:
        return time.process_time()
    user, system = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[11:13]
    ticks = int(user) + int(system)
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
