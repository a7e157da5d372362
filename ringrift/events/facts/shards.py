"""Shards of games, and the quality of their data."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.facts.vocabulary import *


class ShardSummary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Statistics of the self-play games of a shard, in whole numbers, so that every machine gets
    the same.

    - `games`: self-play games that replay to their recorded end
    - `wins`: of these, won by seat 1, 2, ...; the others had no winner
    - `plies`, `plies_squared`: sums over games
    - `openings`: distinct sequences of the first `OPENING_TOKENS` moves
      (`ringrift.learning.summary`)
    - `participants`: in alphabetical order, at most `PARTICIPANTS_MAX`
    - `decisions`, `agreed`: searched decisions, and those whose root value was highest for the seat
      that won
    - `opponents`: games in which a player met each other participant; in the others it met itself
    """

    games: Positive
    wins: Annotated[tuple[Count, ...], Meta(min_length=2, max_length=4)]
    plies: Count
    plies_squared: Count
    openings: Count
    participants: Annotated[tuple[Name, ...], Meta(max_length=ITEMS_MAX)]
    decisions: Count
    agreed: Count
    opponents: Annotated[dict[Name, Positive], Meta(max_length=ITEMS_MAX)] = {}

    def __post_init__(self) -> None:
        law(sum(self.wins) <= self.games, "more wins than games")
        law(self.openings <= self.games, "more openings than games")
        law(self.agreed <= self.decisions, "more decisions agreed than were made")
        law(sum(self.opponents.values()) <= self.games, "more games with opponents than games")


Refusal = Literal[
    "again", "unrequested", "seats", "model", "node", "quarantined", "parity", "pending", "replay"
]
"""why a game is no training data: its id or its moves were recorded before; no request asks for it;
it has another number of seats; a network or its node does not exist; its node is quarantined; a
second implementation of the rules judges it otherwise, or has not judged it though it must; it does
not replay to its recorded end"""


class ShardExported(ConfigFact, subject="shard.{config}.exported"):
    """Games `first_seq..last_seq` of a config in `GAMES` as training samples; a pure function of
    that range and `encoder`.

    The next shard begins at `last_seq + 1`, so every game is in exactly one shard per encoder
    version. `refused` names the games that are no training data by their sequences in `GAMES`;
    `rejected` of them could not be replayed."""

    encoder: Name
    index: Count
    first_seq: Positive
    last_seq: Positive
    games: Count
    samples: Count
    rejected: Count
    digest: Sha256
    size_bytes: Count
    summary: ShardSummary | None = None
    """None in a shard without self-play games, and in facts of older builds"""
    supersedes: Sha256 | None = None
    """the shard of the same range that this one replaces, because games were retracted or
    reanalysed"""
    retracted: Count = 0
    """games of the range that were left out because they are retracted"""
    refused: dict[Refusal, Annotated[tuple[Positive, ...], Meta(max_length=ITEMS_MAX)]] = {}
    people: Annotated[tuple[Positive, ...], Meta(max_length=ITEMS_MAX)] = ()
    """games of origin `human` among them, by their sequences in `GAMES`; all others are left out"""
    tournaments: Annotated[tuple[Positive, ...], Meta(max_length=ITEMS_MAX)] = ()
    """games of origin `tournament` among them, likewise"""
    events_seq: Count = 0
    """retractions and reanalyses up to this sequence of `EVENTS` are applied; 0: none"""
    targets_seq: Count = 0
    """targets are the newest up to this sequence of `GAMES`; 0: those recorded with the games"""
    imported: Count = 0
    """games of another system among `games`"""
    samples_added: Count = 0
    """samples of imported games that the superseded shard did not have"""

    def __post_init__(self) -> None:
        law(self.first_seq <= self.last_seq, "first_seq is behind last_seq")
        messages = self.last_seq - self.first_seq + 1
        law(self.games <= messages, "more games than messages")
        wins = len(self.summary.wins) if self.summary else seats_of(self.config)
        law(wins == seats_of(self.config), "the wins are not by seat")


class ShardRetired(ConfigDecision, subject="shard.{config}.retired"):
    """No training window reaches this shard any more, so its blob is deleted. It can be rebuilt
    from the games."""

    digest: Sha256
    index: Count
    why: Text


class ShardRecovered(ConfigFact, subject="shard.{config}.recovered", for_people=True):
    """The blob of a shard was lost or damaged when a training needed it, and was rebuilt from the
    games, byte for byte."""

    digest: Sha256
    index: Count
    reason: Text
    node: Token


class QualityAssessed(ConfigDecision, subject="quality.{config}.assessed"):
    """Quality of the newest self-play data of a config: `games` games up to the shard with digest
    `shard`.

    `score` is the weighted mean of `components`, each 0..1; `adjusted` is the score, drawn towards
    the neutral 0.5 by lack of `confidence`."""

    shard: Sha256
    games: Count
    score: Share
    confidence: Share
    adjusted: Share
    components: dict[Name, Share]


class QualityDegraded(ConfigDecision, subject="quality.{config}.degraded"):
    """The adjusted quality fell below its threshold; in force until `QualityRecovered`."""

    adjusted: Share
    weakest: Text
    """component with the lowest value"""


class QualityRecovered(ConfigDecision, subject="quality.{config}.recovered"):
    """The adjusted quality rose above the upper threshold."""

    adjusted: Share


QualityChange = QualityDegraded | QualityRecovered
