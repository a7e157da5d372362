"""Trust: whose signatures count, what audits of games found, and which nodes are quarantined."""

from typing import Annotated

from msgspec import Meta, Struct

from ringrift.events.facts.vocabulary import *
from ringrift.events.sealing import Key

PublicKey = Annotated[str, Key]
OPERATOR = "operator"
"""the role that admits others and may write everything"""
AUDITED_MAX = 1_000
"""nodes and games of one audit"""
Games = Annotated[tuple[Name, ...], Meta(max_length=AUDITED_MAX)]


class NodeAdmitted(NodeFact, subject="trust.{node}.node-admitted"):
    """From now on, facts that this key signs count as facts of the node, as far as its roles may
    write them.

    The first of these facts in a log admits an operator, who signs it; operators sign all later
    ones. It replaces an earlier one of the same key."""

    key: PublicKey
    roles: Annotated[tuple[Token, ...], Meta(min_length=1, max_length=10)]
    why: Text


class NodeRevoked(NodeFact, subject="trust.{node}.node-revoked"):
    """From now on, no fact that this key signs counts; earlier ones remain."""

    key: PublicKey
    why: Text


class RoleRightsDefined(Fact, subject="trust.{role}.role-rights-defined"):
    """Nodes of this role may write facts whose subjects match one of `subjects`.

    Without `about_others` they may write only facts that name them as the node. It is a fact, so
    that programs of all versions agree on whose facts count."""

    role: Token
    subjects: Annotated[tuple[Name, ...], Meta(max_length=1000)]
    about_others: bool


class PromotionAttested(ConfigFact, subject="attestation.{config}.promotion-attested"):
    """A coordinator on `node` derived the `ModelPromoted` at `EVENTS/<promotion>`, or the
    `ModelRolledBack` to `model` there, again from its own reading of the log, whose messages up to
    that one have the Merkle tree hash `root`. `proof` shows that it is the last message of that
    tree, so that a reader can tell whether the one that it was served is the same."""

    node: Token
    model: Sha256
    promotion: Positive
    root: Sha256
    proof: Annotated[tuple[Sha256, ...], Meta(max_length=64)] = ()


class PromotionDisputed(ConfigFact, subject="attestation.{config}.promotion-disputed"):
    """A coordinator on `node` did not derive the promotion of `model`, or the rollback to it, at
    `EVENTS/<promotion>`, which `proposer` wrote as a program with the same deciders."""

    node: Token
    model: Sha256
    promotion: Positive
    proposer: Name


class SignaturesRequired(Fact, subject="trust.all.signatures-required"):
    """From now on, a fact counts only if an admitted node signed it whose role may write it;
    earlier facts count as they are.

    `batches` says that every reader knows signatures that the events of a batch share, which were
    not known when these facts were first written; the newest of these facts decides."""

    why: Text
    batches: bool = False


class NodeAudit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an audit found of `games` games by `node`, the first of them message `first_seq` of
    `GAMES`: in `differing` ones, repeated searches chose other moves or policies than noise
    explains; `broken` ones contradict the rules or the request that they name."""

    node: Token
    first_seq: Positive
    games: Positive
    decisions: Count
    differing: Games = ()
    broken: Games = ()

    def __post_init__(self) -> None:
        law(len(self.differing) + len(self.broken) <= self.games, "more games failed than audited")


class AuditFinished(NodeFact, subject="audit.{node}.finished"):
    """The auditor on `node` audited games of other nodes: a sample of messages `first_seq` to
    `last_seq` of `GAMES`, chosen by the tree head at `head`, which was stored after them.

    `skipped` games of the sample were left out because the audits may use only a share of the
    fleet's time, or because their network is gone."""

    head: Position
    first_seq: Positive
    last_seq: Positive
    found: Annotated[tuple[NodeAudit, ...], Meta(max_length=AUDITED_MAX)]
    skipped: Count
    search_seconds: NonNegative

    def __post_init__(self) -> None:
        law(self.first_seq <= self.last_seq, "first_seq is behind last_seq")
        law(len({one.node for one in self.found}) == len(self.found), "a node is named twice")


class ParityConfirmed(NodeFact, subject="parity.{node}.confirmed"):
    """The program `command` on `node` judged `games` of the messages `first_seq` to `last_seq` of
    `GAMES` by its own implementation of the rules, a `share` of all that replay by ours, and agreed
    with each that no `ParityRejected` names."""

    command: Name
    first_seq: Positive
    last_seq: Positive
    share: Share
    games: Count

    def __post_init__(self) -> None:
        law(self.first_seq <= self.last_seq, "first_seq is behind last_seq")


class ParityRejected(NodeFact, subject="parity.{node}.rejected"):
    """The program `command` on `node` judges the game at `game_seq` of `GAMES` otherwise than our
    rules: one of the two is wrong. The game is no training data, and is retracted."""

    command: Name
    config: ConfigName
    game: Name
    game_seq: Positive
    reason: Text


class EquivocationProven(NodeFact, subject="equivocation.{node}.proven"):
    """The messages at `first` and `second` are by `node` and cannot both be true: `why`. `bodies`
    are their bytes, with the signatures if they have any."""

    first: Position
    second: Position
    why: Text
    bodies: Annotated[tuple[Text, ...], Meta(min_length=2, max_length=2)]


class NodeQuarantined(NodeFact, subject="node.{node}.quarantined"):
    """From now on the node is given no work, its games are trained on no more, and its scores do
    not count, until `NodeReleased`. Its games after message `clean_seq` of `GAMES` are retracted.

    `evidence` is the log-likelihood ratio of the test, 0 for a proof."""

    clean_seq: Count
    evidence: Finite
    games: Count
    """audited so far"""
    why: Text


class NodeReleased(NodeFact, subject="node.{node}.released"):
    """A person ended the quarantine of the node."""

    why: Text
