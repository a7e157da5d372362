"""Whose signatures count: nodes that were admitted and revoked, and what their roles may write."""

from typing import Annotated

from msgspec import Meta

from ringrift.events.facts.vocabulary import *
from ringrift.events.sealing import Key

PublicKey = Annotated[str, Key]
OPERATOR = "operator"
"""the role that admits others and may write everything"""


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
    """A coordinator on `node` derived the `ModelPromoted` at `EVENTS/<promotion>` again from its
    own reading of the log, whose messages up to that one have the Merkle tree hash `root`."""

    node: Token
    model: Sha256
    promotion: Positive
    root: Sha256


class SignaturesRequired(Fact, subject="trust.all.signatures-required"):
    """From now on, a fact counts only if an admitted node signed it whose role may write it;
    earlier facts count as they are."""

    why: Text
