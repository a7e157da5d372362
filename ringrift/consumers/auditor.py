"""Audits games of other nodes: plays a sample of them again, and searches some of their decisions
again with the network, budget and seed that they name.

The sample follows from a tree head that was stored after the games, so it was unknown when they
were played. A decision that differs has more of its game searched again; then the game passes or
fails. `ringrift.deciders.fleet.audits` judges the nodes. Several auditors share the games. New
targets of earlier games (`GameReanalysed`) are audited as games are.

It also has another implementation of the rules judge games, where one is installed."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from ringrift.consumers.networks.fetching import Networks
from ringrift.consumers.verification.parity import keep_checking
from ringrift.errors import Permanent
from ringrift.events import Recorded, UndecodableEvent, facts as f
from ringrift.events.settings import AuditSettings
from ringrift.events.tickets import tickets_of
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.errors import StreamError
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.controls import quarantines_in_force
from ringrift.runtime.host import threads
from ringrift.runtime.process import Drained, Process
from ringrift.runtime.run import run
from ringrift.trust.auditing import (
    AGAIN,
    Request,
    auditor_of,
    chosen,
    contradiction,
    is_known,
    searched_again,
)
from ringrift.trust.heads import leaf_of
from ringrift.trust.replay import Repeated, holds, repeat_all, sampled

ROUND_SECONDS = 30.0
"""as often as tree heads are recorded"""
GAMES_MAX = 5_000
"""that are looked at in a round; an auditor that was away for long leaves older ones out"""
REQUESTS_MAX = 1_000
PAST_EVENTS = 200_000
"""among which the audits of a node are counted; without any it is new"""
FIRST_SECONDS, SECONDS_MAX = 30.0, 300.0
"""of searches that an auditor may use before it has seen games, and that it may save up"""
PLAY_SECONDS_MAX = 600.0
"""of a game; its author says how long it took"""
Games = list[Recorded[f.GameCompleted]]


async def main(process: Process) -> None:
    """Audit until the process stops."""
    auditor = Auditor(process)
    await auditor.load()
    async with process.background({"parity": lambda: keep_checking(process)}):
        while not process.stopping:
            process.doing = "auditing games"
            with contextlib.suppress(Drained):
                await auditor.round()
            await process.wait(ROUND_SECONDS)


class Auditor:
    """An auditor, and how many games of each node were audited."""

    def __init__(self, process: Process) -> None:
        self.process, self.networks = process, Networks(process)
        self.seq = 0
        """of the newest game that it has looked at"""
        self.seconds = FIRST_SECONDS
        """of searches that it may use"""
        self.audited: Counter[str] = Counter()
        self._requests: dict[tuple[str, str, str], Request | None] = {}

    async def load(self) -> None:
        """Find where the last audit by this node ended, and count the games of all."""
        log, node = self.process.log, self.process.node
        self.seq = max(0, await log.tail(GAMES) - GAMES_MAX)
        after = max(0, await log.tail(EVENTS) - PAST_EVENTS)
        async for fact, _ in read.facts(log, f.AuditFinished, after=after):
            self.audited.update({one.node: one.games for one in fact.found})
            if fact.node == node:
                self.seq = max(self.seq, fact.last_seq)

    async def round(self) -> None:
        """Audit the games that were stored before the newest tree head. Raises StreamError, and
        Drained when the process stops: the next auditor begins after the last audit that ended."""
        log = self.process.log
        head = await log.last(EVENTS, f.TreeHeadRecorded.event_type.subject_filter)
        if head is None:
            return
        games, last = await self._before(head)
        if last == self.seq:
            return
        settings, _ = await self.process.settings()
        beats = await self.process.presence.all()
        auditors = [beat.node for beat in beats if beat.consumer == self.process.name]
        seed, own = leaf_of(head).hex(), self.process.node
        guilty = await quarantines_in_force(log)
        mine = [
            item
            for item in games
            if is_known(item.event)
            and item.event.node not in guilty
            and auditor_of(item.event, [*auditors, own], seed) == own
        ]
        first, self.seq = self.seq + 1, last
        await self._audit(mine, settings.audit, seed, f"{EVENTS}/{head.seq}", first)

    async def _before(self, head: Entry) -> tuple[Games, int]:
        """The new games that were stored before a head, and the sequence of the last of them."""
        found, last = list[Recorded[f.GameCompleted]](), self.seq
        until = self.seq + GAMES_MAX
        kinds = f.GameCompleted, f.GameReanalysed
        async for fact, meta in read.facts(self.process.log, *kinds, after=self.seq, until=until):
            if meta.stamp_ns >= head.stamp_ns:
                break
            last = meta.seq
            if isinstance(fact, f.GameCompleted):
                found.append(Recorded(fact, meta))
            elif isinstance(fact, f.GameReanalysed) and (
                game := await self._again(fact, meta.cause or "")
            ):
                found.append(Recorded(game, meta))
        return found, last

    async def _again(self, fact: f.GameReanalysed, cause: str) -> f.GameCompleted | None:
        """The game with its new targets; None if no shard uses them, or they cannot be judged."""
        log = self.process.log
        try:
            asked = await read.fact_at(log, cause)
            old = await read.fact_at(log, f"{GAMES}/{fact.game_seq}")
            model = await self.networks.get(fact.model, fact.config) if fact.model else None
        except (UndecodableEvent, StreamError, Permanent, TimeoutError) as error:
            self.process.logger.warning("targets not audited", game=fact.game, error=str(error))
            return None
        request, game = asked and asked.event, old and old.event
        if not isinstance(request, f.ReanalysisRequested) or not isinstance(game, f.GameCompleted):
            return None
        wanted = request.first_seq <= fact.game_seq <= request.last_seq
        return searched_again(game, fact, request.seed, model) if wanted else None

    async def _audit(
        self, games: Games, settings: AuditSettings, seed: str, head: str, first: int
    ) -> None:
        earned = sum(min(game.play_seconds, PLAY_SECONDS_MAX) for game, _ in games)
        self.seconds = min(self.seconds + settings.compute_share * earned, SECONDS_MAX)
        sample, skipped = list[tuple[Recorded[f.GameCompleted], list[int]]](), 0
        for item in games:
            new = self.audited[item.event.node] < settings.new_games
            share = settings.decisions * (settings.new_factor if new else 1.0)
            plies = chosen(item.event, min(share, 1.0), seed)
            if plies is not None:
                sample.append((item, plies))
                self.audited[item.event.node] += 1
        began, results = time.process_time(), _Results()
        allowed = self.seconds
        for (item, plies), request in [(one, await self._request(one[0])) for one in sample]:
            self._go_on()
            if await asyncio.to_thread(contradiction, item.event, request):
                results.broken.append(item)
            elif time.process_time() - began < allowed:
                results.asked.append((item, plies))
            else:
                skipped += 1
        skipped += await self._search(results, seed)
        spent = time.process_time() - began
        self.seconds -= spent
        found = results.found()
        if found or skipped:
            fact = f.AuditFinished(
                node=self.process.node,
                head=head,
                first_seq=first,
                last_seq=self.seq,
                found=found,
                skipped=skipped,
                search_seconds=round(spent, 3),
            )
            await self.process.append(fact, cause=head, key=f"{self.process.node}.{self.seq}")

    async def _search(self, results: "_Results", seed: str) -> int:
        """Search the chosen decisions again, by players; return how many games could not be."""
        groups, skipped = defaultdict(list), 0
        for item, plies in results.asked:
            groups[item.event.config, item.event.seats].append((item, plies))
        for asked in groups.values():
            self._go_on()
            try:
                first = await self._repeat([(item.event, plies) for item, plies in asked])
                doubtful = [
                    (item.event, sampled(item.event, AGAIN, seed))
                    for (item, _), again in zip(asked, first, strict=True)
                    if not all(one.agrees for one in again)
                ]
                second = await self._repeat(doubtful)
            except (StreamError, Permanent, TimeoutError) as error:  # its network is gone
                self.process.logger.warning("games not audited", error=str(error))
                skipped += len(asked)
                continue
            for (item, _), again in zip(asked, first, strict=True):
                results.searched.append((item, len(again)))
            for (game, _), again in zip(doubtful, second, strict=True):
                results.decisions[game.node] += len(again)
                if not holds(game, again):
                    results.differing[game.node].append(game.game)
        return skipped

    async def _repeat(
        self, asked: Sequence[tuple[f.GameCompleted, list[int]]]
    ) -> list[list[Repeated]]:
        return await repeat_all(asked, self.networks.get, threads=threads())

    def _go_on(self) -> None:
        if self.process.stopping:
            raise Drained

    async def _request(self, item: Recorded[f.GameCompleted]) -> Request | None:
        """What the game was asked for by; None if nothing asks for its ticket."""
        game, cause = item.event, item.meta.cause or ""
        key = cause, game.ticket, game.node
        if key not in self._requests:
            while len(self._requests) >= REQUESTS_MAX:
                del self._requests[next(iter(self._requests))]
            self._requests[key] = await self._asked(cause, game)
        return self._requests[key]

    async def _asked(self, cause: str, game: f.GameCompleted) -> Request | None:
        log = self.process.log
        try:
            found = await read.fact_at(log, cause)
        except UndecodableEvent:
            return None
        asking = f.SelfplayPlanned | f.EvaluationRequested | f.ReanalysisRequested
        if found is None or not isinstance(found.event, asking):
            return None
        request = found.event
        tickets = {one.ticket: one for one in tickets_of(request, cause)}
        if game.ticket not in tickets or request.config != game.config:
            return None
        settings, _ = await read.settings_in_force(log, request.settings_version)
        used = read.facts(log, f.FallbackModelUsed, scope=game.config, after=found.meta.seq)
        who = game.ticket, game.node
        older = [fact.used async for fact, _ in used if (fact.ticket, fact.node) == who]
        return Request(tickets[game.ticket], settings, frozenset(older))


class _Results:
    """What is to be searched, and what was found, of one sample."""

    def __init__(self) -> None:
        self.asked: list[tuple[Recorded[f.GameCompleted], list[int]]] = []
        self.broken: Games = []
        self.searched: list[tuple[Recorded[f.GameCompleted], int]] = []
        self.decisions: Counter[str] = Counter()
        self.differing: defaultdict[str, list[str]] = defaultdict(list)

    def found(self) -> tuple[f.NodeAudit, ...]:
        """The result of each node."""
        games: defaultdict[str, Games] = defaultdict(list)
        broken: defaultdict[str, list[str]] = defaultdict(list)
        for item, count in self.searched:
            games[item.event.node].append(item)
            self.decisions[item.event.node] += count
        for item in self.broken:
            games[item.event.node].append(item)
            broken[item.event.node].append(item.event.game)
        return tuple(
            f.NodeAudit(
                node=node,
                first_seq=min(item.meta.seq for item in items),
                games=len(items),
                decisions=self.decisions[node],
                differing=tuple(self.differing[node][: f.AUDITED_MAX]),
                broken=tuple(broken[node][: f.AUDITED_MAX]),
            )
            for node, items in sorted(games.items())
        )


if __name__ == "__main__":
    run("auditor", main)
