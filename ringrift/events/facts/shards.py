"""Shards of games, and the quality of their data."""

from typing import Literal

from msgspec import Struct

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
    """

    games: Positive
    wins: tuple[Count, ...]
    plies: Count
    plies_squared: Count
    openings: Count
    participants: tuple[str, ...]
    decisions: Count
    agreed: Count


Refusal = Literal["again", "unrequested", "seats", "model", "node", "replay"]
"""why a game is no training data: its id or its moves were recorded before; no request asks for it;
it has another number of seats; a network or its node does not exist; it does not replay to its
recorded end"""


class ShardExported(ConfigFact, subject="shard.{config}.exported"):
    """Games `first_seq..last_seq` of a config in `GAMES` as training samples; a pure function of
    that range and `encoder`.

    The next shard begins at `last_seq + 1`, so every game is in exactly one shard per encoder
    version. `refused` names the games that are no training data by their sequences in `GAMES`;
    `rejected` of them could not be replayed."""

    encoder: str
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
    refused: dict[Refusal, tuple[Positive, ...]] = {}
    events_seq: Count = 0
    """retractions and reanalyses up to this sequence of `EVENTS` are applied; 0: none"""
    targets_seq: Count = 0
    """targets are the newest up to this sequence of `GAMES`; 0: those recorded with the games"""


class ShardRetired(ConfigDecision, subject="shard.{config}.retired"):
    """No training window reaches this shard any more, so its blob is deleted. It can be rebuilt
    from the games."""

    digest: Sha256
    index: Count
    why: str


class ShardRecovered(ConfigFact, subject="shard.{config}.recovered"):
    """The blob of a shard was lost or damaged when a training needed it, and was rebuilt from the
    games, byte for byte."""

    digest: Sha256
    index: Count
    reason: str
    node: Token


class QualityAssessed(ConfigDecision, subject="quality.{config}.assessed"):
    """Quality of the newest self-play data of a config: `games` games up to the shard with digest
    `shard`.

    `score` is the weighted mean of `components`, each 0..1; `adjusted` is the score, drawn towards
    the neutral 0.5 by lack of `confidence`."""

    shard: Sha256
    games: Count
    score: float
    confidence: float
    adjusted: float
    components: dict[str, float]


class QualityDegraded(ConfigDecision, subject="quality.{config}.degraded"):
    """The adjusted quality fell below its threshold; in force until `QualityRecovered`."""

    adjusted: float
    weakest: str
    """component with the lowest value"""


class QualityRecovered(ConfigDecision, subject="quality.{config}.recovered"):
    """The adjusted quality rose above the upper threshold."""

    adjusted: float


QualityChange = QualityDegraded | QualityRecovered
