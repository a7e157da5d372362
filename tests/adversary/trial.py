"""One invented log, and every decider on it.

Nothing guards the deciders here: what raises is noted as a finding, and the decider continues with
the state that it had, as a guarded one would."""

from __future__ import annotations

import contextlib
import copy
import json
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as mi

import ringrift
from ringrift.deciders.kit import Context, Decider
from ringrift.events import REGISTRY, Draft, EventMeta, Fact, Recorded, encode, event_id, facts as f
from ringrift.events.facts import SettingsChanged
from ringrift.log.entry import Entry
from ringrift.log.keyring import Keyring
from ringrift.log.topology import EVENTS
from ringrift.runtime.authorship import deciders, writers
from ringrift.runtime.decide import DeciderRun, by_cause
from ringrift.runtime.folds import fold_hash
from ringrift.runtime.processes import PROCESSES
from ringrift.tools.memory_broker import MemoryBroker
from ringrift.tools.memory_log import MemoryLog

from .settings import USUAL, accepted
from .values import Values
from .workers import Workers

START = datetime(2026, 1, 1, tzinfo=UTC)
EPISODE_FACTS = 300
SECONDS_MAX = 2.0
"""processor time of one decider for one fact"""
DECISIONS_MAX = 3000
"""decisions on one fact and on the decisions themselves"""
STEPS_SECONDS = (0.01, 1.0, 60.0, 60.0, 900.0, 30_000.0)
_DISTANT = ("0001-01-01T00:00:00", "1969-12-31T23:59:59", "2099-01-01T00:00:00")
_TIMES = (
    *(f"{time}Z" for time in (*_DISTANT, "9999-12-31T23:59:59")),
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-12:00",
    "2026-01-01T00:00:00+05:30",
    "2026-01-01T00:00:00",
)
"""of authors; the last has no zone"""
_KINDS = sorted(REGISTRY)


class Stuck(BaseException):
    """A decider took longer than `SECONDS_MAX`."""


def _raised(error: Exception) -> None:
    raise error


class Finding(NamedTuple):
    """What went wrong, and where: findings that differ in `detail` only are the same."""

    decider: str
    what: str
    """`evolve`, `decide`, or the law that does not hold"""
    error: str
    place: str


class Seen(NamedTuple):
    """The first facts that led to a finding: `stored` up to and with the one that raised."""

    detail: str
    fact: Fact | None
    count: int


@cache
def info_of(name: str) -> mi.Type:
    """Type of the data of an event."""
    return mi.type_info(REGISTRY[name].fact_type)


class Trial:
    """An episode: the deciders under trial, the log, and the findings."""

    def __init__(self, seed: int, names: Iterable[str] | None = None, *, odd: float = 1.0) -> None:
        """`names` of deciders, all by default; `odd` is a factor on the share of odd facts."""
        self.seed, self.random = seed, Random(seed)
        self.odd = odd
        self.values = Values(self.random)
        self.workers = Workers(self.values)
        self.now = START.timestamp()
        self.broker = MemoryBroker(lambda: self.now)
        self.log = MemoryLog(self.broker)
        self.stored: list[Recorded] = []
        self.refused = 0
        self.findings: dict[Finding, Seen] = {}
        self.forged = set[str]()
        """deciders whose decisions another author wrote"""
        chosen = deciders() if names is None else {name: deciders()[name] for name in names}
        self.runs = [DeciderRun(self._watched(decider), {}) for decider in chosen.values()]
        self._own_ids = set[str]()
        self._refusal = ""
        self._doing = ("", "")
        self._open: deque[tuple[Fact, str | None]] = deque()
        self._new: deque[Recorded] = deque()

    # the history

    def start(self) -> None:
        """Put the usual settings in force."""
        self.put(SettingsChanged(version=1, settings=USUAL, why="start"))

    def step(self) -> None:
        """Let something happen, usual or odd."""
        self.now += self.random.choice(STEPS_SECONDS)
        chance = self.random.random()
        if chance < 0.5 and self._open:
            fact, cause = self._open.popleft()
            if self.values.chance(0.1 * self.odd):
                self.put_data(type(fact).__name__, self._spoiled(fact), cause)
            else:
                self.put(fact, cause)
        elif chance < 0.62:
            self.put(f.TickRecorded(minute=int(self.now // 60)))
        elif chance < 0.72:
            for fact in self.workers.happenings():
                self.put(fact)
        elif chance < 0.75:
            version = len(self.stored) + 1
            settings = accepted(self.values) if self.odd else USUAL
            self.put(SettingsChanged(version=version, settings=settings, why="w"))
        elif self.odd == 0.0:
            return
        elif chance < 0.83 and self.stored:
            earlier = self.random.choice(self.stored[-50:])
            self.put_data(type(earlier.event).__name__, self._spoiled(earlier.event), None)
        elif chance < 0.86 and self.stored:
            self._again(self.random.choice(self.stored))
        elif chance < 0.88:
            entry = self.random.choice(list(self.broker.stream(EVENTS).entries.values())[-20:])
            self._store(self._garbled(entry.body), entry.subject)
            self.settle()
        else:
            name = self.random.choice(_KINDS)
            self.put_data(name, self.values.invented(info_of(name)), None)

    def _spoiled(self, fact: Fact) -> Any:
        info = info_of(type(fact).__name__)
        return self.values.changed(info, msgspec.to_builtins(fact), share=0.1)

    def _garbled(self, body: bytes) -> bytes:
        """Bytes of a message with a part replaced, left out or repeated."""
        random, text = self.random, bytearray(body)
        start = random.randrange(len(text))
        end = start + random.choice((0, 1, 1, 8, 200))
        noise = (b"", b"\xff", b"[" * 3000, b"9" * 400, b'"', b"null", bytes(text[start:end]) * 2)
        text[start:end] = random.choice(noise)
        return bytes(text)

    def _again(self, earlier: Recorded) -> None:
        """Store an event a second time, as after a lost acknowledgement."""
        event, meta = earlier
        item = Draft(event=event, id=meta.id, cause=meta.cause, source=meta.source, time=meta.time)
        with contextlib.suppress(OverflowError):
            self._store(encode(item), meta.subject)
            self.settle()

    def put(self, fact: Fact, cause: str | None = None) -> None:
        """Write a fact as its author would."""
        self.put_data(type(fact).__name__, msgspec.to_builtins(fact), cause, odd=0.05 * self.odd)

    def put_data(self, name: str, data: Any, cause: str | None, odd: float = 0.3) -> None:
        """Write data as an event, and let the deciders decide; `odd` is the share of odd
        attributes."""
        kind, values = REGISTRY[name], self.values
        author = self.random.choice(_WRITERS[name])
        time = datetime.fromtimestamp(self.now, UTC).isoformat()
        scope = "all" if kind.scope == "all" else str(data.get(kind.scope, "x"))
        envelope = {
            "specversion": "1.0",
            "id": f"{name}:{cause or '-'}:{len(self.stored)}",
            "type": kind.wire_name,
            "source": f"{author}@n1",
            "subject": kind.filter(scope),
            "time": time,
            "cause": cause,
            "data": data,
        }
        if values.chance(odd):
            envelope["time"] = self.random.choice(_TIMES)
        if values.chance(odd):
            envelope["cause"] = values.odd_position()
        if values.chance(odd / 3):
            envelope["id"] = values.text("id", odd=1.0)
        if values.chance(odd / 3):
            envelope["source"] = self.random.choice(("", "x", "selfplay@n1", "@", "a@b@c"))
        self._store(json.dumps(envelope).encode(), kind.filter(scope))
        self.settle()

    def _store(self, body: bytes, subject: str) -> None:
        """Append a message; its event is due if it can be decoded."""
        kind = EVENTS if not subject.startswith("ringrift.game.") else "GAMES"
        stream = self.broker.stream(kind)
        entry = stream.entries[stream.store(subject, body, {}, None)]
        found = Keyring().events(kind, [entry], self._refuse)
        if kind == EVENTS and found:
            self._take_in(found[0])

    def _refuse(self, entry: Entry, error: Exception) -> None:
        self.refused += 1
        self._refusal = str(error)

    def _take_in(self, item: Recorded) -> None:
        self.stored.append(item)
        self._new.append(item)
        self.values.positions.append(item.meta.position)
        decided = type(item.event) in _DECISIONS and item.meta.cause is not None
        if decided and item.meta.id not in self._own_ids:
            self.forged.update(_DECISIONS[type(item.event)])

    # the deciders

    def settle(self) -> None:
        """Let every decider take the events that are due, and store what it decides."""
        budget = DECISIONS_MAX
        while self._new:
            item = self._new.popleft()
            for run in self.runs:
                if type(item.event) not in run.types:
                    continue
                for number, decision in enumerate(self._taken(run, item)):
                    budget -= 1
                    if budget < 0:
                        self._note(run.decider.name, "runaway", RuntimeError("too many decisions"))
                        self._new.clear()
                        return
                    self._append(run, number, decision, item.meta)

    def _taken(self, run: DeciderRun, item: Recorded) -> Sequence[Fact]:
        self._doing = (run.decider.name, "take")
        signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)
        try:
            return run.take(*item)
        except (Exception, Stuck) as error:  # noqa: BLE001  a finding, whatever it is
            self._note(*self._doing, error, item.event)
            return ()

    def _append(self, run: DeciderRun, number: int, decision: Fact, cause: EventMeta) -> None:
        name = run.decider.name
        key = event_id(type(decision), cause.position, f"{name}.{number}")
        author = _AUTHORS[name]
        time = datetime.fromtimestamp(self.now, UTC)
        item = Draft(event=decision, id=key, cause=cause.position, source=f"{author}@n1", time=time)
        before = len(self.stored)
        self._own_ids.add(key)
        try:
            body = encode(item)
        except Exception as error:  # noqa: BLE001  a finding, whatever it is
            self._note(name, "encode", error, decision)
            return
        refused = self.refused
        self._store(body, item.subject)
        if self.refused > refused:
            self._note(name, "refused", ValueError(self._refusal), decision)
            return
        self._doing = (name, "evolve")
        try:
            run.fold(*self.stored[before], cause)
        except (Exception, Stuck) as error:  # noqa: BLE001
            self._note(*self._doing, error, decision)
        for answer in self.workers.answers(decision, self.stored[before].meta.position):
            self._open.append(answer)

    def _watched(self, decider: Decider[Any]) -> Decider[Any]:
        """A copy that notes what it is doing."""
        watched = copy.copy(decider)

        def noting(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def noted(state: Any, fact: Fact, context: Context, *_: object) -> Any:
                self._doing = (decider.name, what)
                return call(state, fact, context, _raised)

            return noted

        watched.evolve = noting("evolve", decider.evolve)  # type: ignore[method-assign]
        watched.decide = noting("decide", decider.decide)  # type: ignore[method-assign]
        return watched

    def replay(self, items: Iterable[Recorded]) -> None:
        """Let the deciders take stored events of another trial, and fold what they decide now. That
        is not stored, so the states are not compared with the log."""
        self.forged.update(run.decider.name for run in self.runs)
        for item in items:
            self.stored.append(item)
            for run in self.runs:
                for decision in self._taken(run, item):
                    self._doing = (run.decider.name, "evolve")
                    try:
                        run.fold(decision, item.meta, item.meta)
                    except (Exception, Stuck) as error:  # noqa: BLE001
                        self._note(*self._doing, error, decision)
        self.check_states()

    # what must hold at the end

    def check_states(self) -> None:
        """Note states that a snapshot does not keep, or that the log gives differently."""
        for run in self.runs:
            name = run.decider.name
            try:
                stored = msgspec.json.encode(run.state)
                restored = msgspec.json.decode(stored, type=run.decider.state)
                if fold_hash(restored) != run.fold_hash:
                    raise ValueError("a restored state has another digest")
            except Exception as error:  # noqa: BLE001
                self._note(name, "snapshot", error)
            stuck = any(one.decider == name and one.error == "Stuck" for one in self.findings)
            if name not in self.forged and not stuck:
                self._check_rebuilt(run)

    def _check_rebuilt(self, run: DeciderRun) -> None:
        name = run.decider.name
        try:
            again = DeciderRun(deciders()[name], by_cause(run.decider, self.stored))
            again.decided_to = max((meta.seq for _, meta in self.stored), default=0)
            for item in self.stored:
                signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)
                with contextlib.suppress(Exception, Stuck):  # noted when it was live
                    again.take(*item)
            if again.fold_hash != run.fold_hash:
                raise ValueError("rebuilt from the log, the state has another digest")
        except Exception as error:  # noqa: BLE001
            self._note(name, "rebuild", error)

    def _note(self, name: str, what: str, error: BaseException, fact: Fact | None = None) -> None:
        finding = Finding(name, what, type(error).__name__, place_of(error))
        before = self.findings.get(finding)
        detail = f"{type(fact).__name__ if fact else '-'}: {error}"[:200]
        self.findings[finding] = (
            before._replace(count=before.count + 1) if before else Seen(detail, fact, 1)
        )


def run(seed: int, facts: int, names: Iterable[str] | None = None, *, odd: float = 1.0) -> Trial:
    """One episode of at least this number of stored facts."""
    trial = Trial(seed, names, odd=odd)
    with limited():
        trial.start()
        while len(trial.stored) + trial.refused < facts:
            trial.step()
        trial.check_states()
    return trial


def place_of(error: BaseException) -> str:
    """The deepest line of the program in a traceback."""
    root = str(Path(ringrift.__file__).parent)
    frames = [one for one in traceback.extract_tb(error.__traceback__) if root in one.filename]
    if not frames:
        return "-"
    return f"{frames[-1].filename.removeprefix(root + '/')}:{frames[-1].lineno}"


def _decisions() -> dict[type[Fact], list[str]]:
    found: dict[type[Fact], list[str]] = {}
    for name, decider in deciders().items():
        for kind in decider.writes:
            found.setdefault(kind, []).append(name)
    return found


_DECISIONS = _decisions()
_AUTHORS = {one.name: name for name, spec in PROCESSES.items() for one in spec.deciders}
_WRITERS = {name: writers(kind.fact_type) or ["ringrift"] for name, kind in REGISTRY.items()}


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise `Stuck` in the block when a timer of processor time ends."""

    def stop(*_: object) -> None:
        raise Stuck(f"more than {SECONDS_MAX:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
