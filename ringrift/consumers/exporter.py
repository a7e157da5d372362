"""Cuts the games of every config into shards, in the order of `GAMES`: each game is in exactly one
shard per encoder version.

The next shard begins after the last one's `last_seq`, so the exporter's state is in its own facts.
Games that are no training data (`ringrift.consumers.shards.admission`), those of quarantined nodes,
those that another implementation of the rules rejects (with `parity.pending` off it is waited for)
and those retracted before a shard is cut are not in it; `ringrift.consumers.shards.upkeep` replaces
shards whose games are retracted or reanalysed later. Several exporters may run: the expected
sequence on the shard subject lets only one of them write each shard. The exporter also deletes the
blobs of networks that were retired."""

from collections import defaultdict
from typing import NamedTuple

from ringrift.consumers.networks.retiring import delete_retired
from ringrift.consumers.shards import building
from ringrift.consumers.shards.admission import Admission
from ringrift.consumers.shards.upkeep import keep_current
from ringrift.consumers.verification.parity import Verdicts
from ringrift.deciders.loop.retraction import retracted
from ringrift.events import EventMeta
from ringrift.events.facts import GameCompleted, Refusal, ShardExported
from ringrift.events.settings import ShardSettings
from ringrift.learning.shards import teaches
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS, GAMES
from ringrift.nets.encoding import ENCODER
from ringrift.runtime.controls import quarantines_in_force
from ringrift.runtime.decide import followed
from ringrift.runtime.process import Process
from ringrift.runtime.run import run

WAITING_MAX = 4
"""times the usual number of games of a shard, with those that teach nothing"""
MATCHES = ("evaluation", "tournament")
"""origins of games some of which are against players that do not search"""
VERDICTS_SECONDS = 5.0
"""between two looks for verdicts that are waited for"""


class Judged(NamedTuple):
    """A game, and why it is no training data (None: it is)."""

    game: GameCompleted
    meta: EventMeta
    refusal: Refusal | None


Games = list[Judged]


async def main(process: Process) -> None:
    """Cut shards as games arrive, and keep exported shards up to date."""
    # a conflict with another exporter starts a job again
    jobs = {
        "export": lambda: _export(process),
        "upkeep": lambda: keep_current(process),
        "deletion": lambda: delete_retired(process),
    }
    async with process.background(jobs):
        await process.wait_for_stop()


async def _export(process: Process) -> None:
    last: dict[str, ShardExported] = {}
    newest_seq: dict[str, int] = {}
    refused: set[int] = set()
    for config, shards in (await building.exported_shards(process.log)).items():
        last[config] = max((shard.event for shard in shards), key=lambda shard: shard.last_seq)
        newest_seq[config] = shards[-1].meta.seq
        refused |= {seq for shard, _ in shards for seqs in shard.refused.values() for seq in seqs}
    start = min((shard.last_seq for shard in last.values()), default=0) + 1
    admission = Admission(process.log)
    await admission.load(start, refused)
    waiting: dict[str, Games] = defaultdict(list)
    verdicts = Verdicts()
    settings = await _settings(process)
    process.doing = "exporting"
    async for game, meta in followed(process, GAMES, start):
        if not isinstance(game, GameCompleted):
            continue
        previous = last.get(game.config)
        # reading starts where the first config's shards end, so others' games are read again
        if previous is not None and meta.seq <= previous.last_seq:
            if meta.seq not in refused:
                admission.note(game)
            continue
        people, tournaments = settings.people, settings.tournaments
        if not building.is_learned_from(game, people=people, tournaments=tournaments):
            continue
        judged = Judged(game, meta, await admission.refusal(game, meta))
        if judged.refusal:
            name, reason = game.game, judged.refusal
            process.logger.warning("game refused", game=name, cause=meta.position, reason=reason)
        waiting[game.config].append(judged)
        if _is_due(waiting[game.config], settings.games):
            games = waiting.pop(game.config)
            expected = newest_seq.get(game.config, 0)
            process.condition.work_began(process.clock.monotonic())
            try:
                await _judged_elsewhere(process, verdicts, games[-1].meta.seq)
                cut = await _cut(process, games, previous, expected, verdicts)
            finally:
                process.condition.work_ended(process.clock.monotonic())
            last[game.config], newest_seq[game.config] = cut
            settings = await _settings(process)  # changed settings apply from the next shard on


def _seqs(games: Games, origin: str) -> tuple[int, ...]:
    """The sequences of the games of an origin."""
    return tuple(meta.seq for game, meta, _ in games if game.origin == origin)


def _is_due(waiting: Games, wanted: int) -> bool:
    """Whether these games make a shard: not if all of them are against baselines, which teach
    nothing, unless more wait than the memory allows."""
    if len(waiting) < wanted:
        return False
    taught = any(one.game.origin not in MATCHES or teaches(one.game) for one in waiting)
    return taught or len(waiting) >= WAITING_MAX * wanted


async def _settings(process: Process) -> ShardSettings:
    """The settings in force."""
    settings, _ = await process.settings()
    return settings.shard


async def _judged_elsewhere(process: Process, verdicts: Verdicts, seq: int) -> None:
    """Wait until another implementation of the rules has judged the games up to a sequence, if only
    judged ones are trained on."""
    await verdicts.read(process.log)
    while not await _pending_allowed(process) and verdicts.whole_to < seq:
        process.doing = "waiting for verdicts of the setting parity.command"
        await process.wait(VERDICTS_SECONDS)
        process.check_stop()
        await verdicts.read(process.log)
    process.doing = "exporting"


async def _pending_allowed(process: Process) -> bool:
    settings, _ = await process.settings()
    return settings.parity.pending


async def _cut(
    process: Process,
    games: Games,
    previous: ShardExported | None,
    newest_seq: int,
    verdicts: Verdicts,
) -> tuple[ShardExported, int]:
    """Write one shard and its fact; the fact and its sequence."""
    config = games[0].game.config
    # later retractions are the upkeep's: the fact says up to where they are applied
    tail = await process.log.tail(EVENTS)
    retractions = await building.retractions_until(process.log, config, tail)
    quarantined = await quarantines_in_force(process.log, tail)
    pending = await _pending_allowed(process)
    for number, (game, meta, refusal) in enumerate(games):
        if refusal is None and game.node in quarantined:
            refusal = "quarantined"
        refusal = refusal or verdicts.refusal(meta.seq, pending=pending)
        games[number] = Judged(game, meta, refusal)
    good = [(game, meta) for game, meta, refusal in games if refusal is None]
    kept = [game for game, meta in good if not retracted(retractions, game, meta.seq)]
    refused: dict[Refusal, tuple[int, ...]] = {}
    for _, meta, refusal in games:
        if refusal is not None:
            refused[refusal] = (*refused.get(refusal, ()), meta.seq)
    shard = await building.store_shard(process, config, kept)
    fact = ShardExported(
        config=config,
        encoder=ENCODER,
        index=previous.index + 1 if previous else 0,
        first_seq=games[0].meta.seq,
        last_seq=games[-1].meta.seq,
        games=len(games),
        **shard._asdict(),
        people=_seqs(games, "human"),
        tournaments=_seqs(games, "tournament"),
        rejected=len(refused.get("replay", ())),
        refused=refused,
        retracted=len(good) - len(kept),
        imported=sum(game.origin == "import" for game, _, _ in games),
        events_seq=tail if retractions else 0,
    )
    item = process.draft(fact, cause=games[-1].meta.position, key=ENCODER)
    (seq,) = await process.log.append([item], Expect(item.subject, newest_seq))
    process.logger.info("shard", config=config, index=fact.index, seq=seq, cause=item.cause)
    return fact, seq


if __name__ == "__main__":
    run("exporter", main)
