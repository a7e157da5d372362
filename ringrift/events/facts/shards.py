"""Shards of games, and how good their data are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ringrift.events.facts.vocabulary import ConfigName, Count, Fact, Sha256, Token


class ShardSummary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the self-play games of a shard were like, in whole numbers so that every machine finds
    the same.

    games         self-play games that replay to their recorded end wins          of them, won by
    seat 1, 2, ...; the rest had no winner plies, plies_squared   sums over games openings
    distinct sequences of the first `OPENING_TOKENS` moves (`ringrift.learning.summary`)
    participants  who sat at the boards, in alphabetical order, at most `PARTICIPANTS_MAX`
    decisions, agreed   searched decisions, and those whose root value was highest for the seat that
    won"""

    games: Annotated[int, Meta(ge=1)]
    wins: tuple[Count, ...]
    plies: Count
    plies_squared: Count
    openings: Count
    participants: tuple[str, ...]
    decisions: Count
    agreed: Count


class ShardExported(Fact, subject="shard.{config}.exported"):
    """Games `first_seq..last_seq` of this config in `GAMES` as training samples; a pure function of
    that range and `encoder`.

    The next shard begins at `last_seq + 1`, so every game is in exactly one shard per encoder
    version."""

    config: ConfigName
    encoder: str
    index: Count
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    games: Count
    samples: Count
    rejected: Count
    digest: Sha256
    size_bytes: Count
    summary: ShardSummary | None = None
    """None in a shard without self-play games, and in facts of older builds"""
    supersedes: Sha256 | None = None
    """the shard of the same range that this one takes the place of, because games were retracted or
    reanalysed"""
    retracted: Count = 0
    """games of the range that were left out because they are retracted"""
    events_seq: Count = 0
    """retractions and reanalyses up to this sequence of `EVENTS` are heeded; 0: none"""
    targets_seq: Count = 0
    """the newest targets up to this sequence of `GAMES` are taken; 0: those that the games came
    with"""


class ShardRetired(Fact, subject="shard.{config}.retired"):
    """No window and no training can reach this shard any more: its blob is deleted. The games are
    there; it can be made again."""

    config: ConfigName
    digest: Sha256
    index: Count
    why: str
    settings_version: Count


class ShardRecovered(Fact, subject="shard.{config}.recovered"):
    """The blob of a shard was lost or damaged when a training wanted it, and was made again from
    the games, byte for byte."""

    config: ConfigName
    digest: Sha256
    index: Count
    reason: str
    node: Token


class QualityAssessed(Fact, subject="quality.{config}.assessed"):
    """How good the newest self-play data of a config are, from `games` games up to the shard
    `digest`.

    `score` is the weighted mean of `components`, each 0..1; `adjusted` is drawn towards the neutral
    0.5 by lack of `confidence`."""

    config: ConfigName
    shard: Sha256
    games: Count
    score: float
    confidence: float
    adjusted: float
    components: dict[str, float]
    settings_version: Count


class QualityDegraded(Fact, subject="quality.{config}.degraded"):
    """The adjusted quality fell below the bound; holds until `QualityRecovered`."""

    config: ConfigName
    adjusted: float
    weakest: str
    """component with the lowest value"""
    settings_version: Count


class QualityRecovered(Fact, subject="quality.{config}.recovered"):
    """The adjusted quality is back above the upper bound."""

    config: ConfigName
    adjusted: float
    settings_version: Count
