"""Renting: nodes that are rented, drained and returned, what a provider runs, and repairs."""

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.vocabulary import *

Instance = Annotated[str, Meta(min_length=1, max_length=200)]
"""the provider's name of what it rents out"""
RecoveryAction = Literal["restart", "replace", "escalate"]
NoticeSource = Literal["signal", "command"]


class NodeRentRequested(NodeFact, subject="node.{node}.rent-requested"):
    """A node of an offer is to be rented under this name, for `cost_per_hour` at most. The
    idempotency key that the hook gets follows from the id of this event."""

    offer: Token
    cost_per_hour: NonNegative
    why: Text
    settings_version: Count


class NodeRented(NodeFact, subject="node.{node}.rented"):
    """A requested node costs from now on; it has not sent a heartbeat yet."""

    offer: Token
    instance: Instance
    cost_per_hour: NonNegative


class NodeRentFailed(NodeFact, subject="node.{node}.rent-failed"):
    """The hook did not rent a requested node."""

    offer: Token
    reason: Text


class NodeDrainRequested(NodeFact, subject="node.{node}.drain-requested"):
    """A node takes no more tickets, and stops once it has none or `seconds` have passed."""

    seconds: NonNegative
    why: Text


class PreemptionNoticed(NodeFact, subject="node.{node}.preemption-noticed"):
    """The provider takes a node away in `seconds`, as the node learnt by a signal or from its own
    command (`ringrift node run --notice-command`). It drains until then."""

    seconds: NonNegative
    source: NoticeSource


class NodeReturnRequested(NodeFact, subject="node.{node}.return-requested"):
    """What is rented under this name is to be given back; `orphan`: no rent of it was recorded."""

    instance: Instance
    orphan: bool = False
    why: Text
    settings_version: Count


class NodeReturned(NodeFact, subject="node.{node}.returned"):
    """A node costs no more. `asked` is false if its provider ended it by itself."""

    instance: Instance
    asked: bool


class NodeReturnFailed(NodeFact, subject="node.{node}.return-failed"):
    """The hook did not return a node, which costs on; it is asked again."""

    instance: Instance
    reason: Text


class OrphanFound(NodeFact, subject="node.{node}.orphan-found"):
    """The provider runs something that no recorded rent explains, and that costs."""

    instance: Instance
    offer: Text
    cost_per_hour: NonNegative


class RecoveryActionRequested(NodeFact, subject="node.{node}.recovery-action-requested"):
    """A lost node is to be restarted by the hook, or replaced by another one; `escalate`: neither
    helps, so a person has to look. `attempt` counts the actions since the node was lost."""

    action: RecoveryAction
    attempt: Positive
    why: Text
    settings_version: Count


class RecoveryActionTaken(NodeFact, subject="node.{node}.recovery-action-taken"):
    """The hook restarted a lost node, or could not."""

    action: RecoveryAction
    done: bool
    reason: Text
