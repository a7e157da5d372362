"""Whose facts count: what `EVENTS` says about keys at each of its messages.

A message that is refused here is skipped by every reader alike, because the decision follows from
the message and the facts before it. Facts about keys count only if an operator signed them; once
`SignaturesRequired` is in the log, all other facts count only if their author was admitted, has a
role that may write them, and signed them."""

import asyncio
import base64
import contextlib
import os
from binascii import crc_hqx
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events import EventMeta, Fact, Recorded, UndecodableEvent
from ringrift.events.codec import Body
from ringrift.events.facts import (
    OPERATOR,
    NodeAdmitted,
    NodeRevoked,
    RoleRightsDefined,
    SignaturesRequired,
)
from ringrift.events.sealing import Seal, seal_of
from ringrift.log.entry import Entry, Refuse, matches
from ringrift.log.topology import EVENTS

TRUST = "ringrift.trust.*.*"
VERIFIED_MAX = 20_000
"""signatures and keys that a process remembers; messages are read by the thousand at most"""
AHEAD_MIN = 64
"""signatures that are worth a thread, and that one verifies at once"""
USER_PREFIX = 20 << 3
"""of nkeys of users, which begin with U"""
TrustFact: TypeAlias = NodeAdmitted | NodeRevoked | RoleRightsDefined | SignaturesRequired


class RefusedFact(UndecodableEvent):
    """The event can be decoded, but does not count."""


class Standing(Struct, frozen=True):
    """Who may write what, after some message of `EVENTS`."""

    admitted: Mapping[str, NodeAdmitted] = {}
    """by key"""
    rights: Mapping[str, RoleRightsDefined] = {}
    """by role"""
    required: bool = False
    batches: bool = False
    """whether all readers know signatures of batches; those of an earlier program do not"""

    def signs_together(self, fact: Fact) -> bool:
        """Whether a batch that begins with a fact may share a signature: not facts about keys,
        which programs of all versions must read."""
        return (self.batches or not self.required) and not isinstance(fact, TrustFact)

    def after(self, fact: TrustFact) -> "Standing":
        """The standing after a fact that counts."""
        match fact:
            case NodeAdmitted():
                return replace(self, admitted={**self.admitted, fact.key: fact})
            case NodeRevoked():
                rest = {key: one for key, one in self.admitted.items() if key != fact.key}
                return replace(self, admitted=rest)
            case RoleRightsDefined():
                return replace(self, rights={**self.rights, fact.role: fact})
            case SignaturesRequired():
                return replace(self, required=True, batches=fact.batches)

    def refusal(self, fact: Fact, meta: EventMeta, seal: Seal | None) -> str:
        """Why a fact does not count, empty if it does; the signature itself is not checked."""
        if isinstance(fact, TrustFact):
            return self._refusal_of_trust(fact, seal)
        if not self.required:
            return ""
        if seal is None:
            return "no signature"
        author = self.admitted.get(seal.author)
        if author is None:
            return f"signed by {seal.author}, which is not admitted"
        if OPERATOR in author.roles:
            return ""
        rights = [self.rights[role] for role in author.roles if role in self.rights]
        held = [one for one in rights if any(matches(item, meta.subject) for item in one.subjects)]
        who = f"node {author.node} ({', '.join(author.roles)})"
        if not held:
            return f"signed by {who}, which may not write {meta.subject}"
        written_by = meta.source.partition("@")[2]
        about = getattr(fact, "node", author.node)
        if written_by != author.node:
            return f"signed by {who} under the name of {meta.source!r}"
        if about != author.node and not any(one.about_others for one in held):
            return f"signed by {who} about node {about}"
        return ""

    def _refusal_of_trust(self, fact: TrustFact, seal: Seal | None) -> str:
        if seal is None:
            return "a fact about keys without a signature"
        if not self.admitted and isinstance(fact, NodeAdmitted):
            first = fact.key == seal.author and OPERATOR in fact.roles
            return "" if first else "the first key that is admitted must be that of its operator"
        author = self.admitted.get(seal.author)
        if author is None or OPERATOR not in author.roles:
            return f"a fact about keys, signed by {seal.author}, which is no operator"
        if isinstance(fact, NodeRevoked):
            others = [one for key, one in self.admitted.items() if key != fact.key]
            if not any(OPERATOR in one.roles for one in others):
                return "it revokes the last operator, and without one no node can be admitted"
        return ""


class Keyring:
    """The standing after every message of `EVENTS`, as far as it was read."""

    def __init__(self) -> None:
        self.seq = 0
        """every fact about keys up to here was taken"""
        self.newest = 0
        """sequence of the newest of them"""
        self._standings, self._seqs, self._stamps = [Standing()], [0], [0]
        """with the sequence and the time of the fact that led to each"""

    @property
    def standing(self) -> Standing:
        """The newest standing."""
        return self._standings[-1]

    @property
    def empty(self) -> bool:
        """Whether the log says nothing about keys, so that every fact counts."""
        return not self.newest

    def take(self, entry: Entry) -> None:
        """Take a message about keys, in the order of the log."""
        if entry.seq <= self.newest:
            return
        self.newest = self.seq = entry.seq
        try:
            event, _ = self.event(EVENTS, entry)
        except UndecodableEvent:
            return  # processes that read all of EVENTS report it
        assert isinstance(event, TrustFact)
        self._standings.append(self.standing.after(event))
        self._seqs.append(entry.seq)
        self._stamps.append(max(entry.stamp_ns, self._stamps[-1]))

    def event(self, stream: str, entry: Entry) -> Recorded:
        """The event in a message, if it counts. Raises UndecodableEvent."""
        return self.counted(entry.recorded(stream), entry.body)

    def events(self, stream: str, entries: Sequence[Entry], refuse: Refuse) -> list[Recorded]:
        """The events of messages; messages that are none, or do not count, are passed to
        `refuse`."""
        found: list[Recorded] = []
        for entry in entries:
            try:
                found.append(self.event(stream, entry))
            except UndecodableEvent as error:
                refuse(entry, error)
        return found

    def counted(self, recorded: Recorded, body: Body) -> Recorded:
        """The event, if it counts. Raises RefusedFact."""
        if self.empty:
            return recorded
        event, meta = recorded
        at = self._before(meta)
        if not at.required and not isinstance(event, TrustFact):
            return recorded
        seal = seal_of(body)
        why = at.refusal(event, meta, seal)
        if not why and not (seal and is_signed(seal)):
            why = "the signature is wrong"
        if why:
            raise RefusedFact(f"{meta.position}: {why}")
        return recorded

    def _before(self, meta: EventMeta) -> Standing:
        """The standing when a message was stored: by its place in `EVENTS`, else by its time."""
        if meta.stream == EVENTS:
            at = bisect_left(self._seqs, meta.seq)
        else:
            at = bisect_left(self._stamps, meta.stamp_ns)
        return self._standings[max(at - 1, 0)]


_verified: dict[bytes, bool] = {}
"""by the digest of a seal, the oldest first: a process meets a message several times"""


def is_signed(seal: Seal) -> bool:
    """Whether a signature is that of its author; what was verified is remembered."""
    digest = _digest(seal)
    if (known := _verified.get(digest)) is None:
        known = holds(seal)
        _remember({digest: known})
    return known


def _digest(seal: Seal) -> bytes:
    return sha256(seal.author.encode() + seal.signature + seal.signed).digest()


def _remember(found: Mapping[bytes, bool]) -> None:
    _verified.update(found)
    while len(_verified) > VERIFIED_MAX:
        del _verified[next(iter(_verified))]


async def verify_ahead(bodies: Iterable[Body]) -> None:
    """Verify the signatures of many messages on all cores, so that `is_signed` knows them."""
    seals = {_digest(seal): seal for body in bodies if (seal := seal_of(body))}
    new = {digest: seal for digest, seal in seals.items() if digest not in _verified}
    if len(new) >= AHEAD_MIN:
        found = await asyncio.to_thread(verify_in_parallel, list(new.values()))
        _remember(dict(zip(new, found, strict=True)))


def verify_in_parallel(seals: Sequence[Seal]) -> list[bool]:
    """Whether each signature is that of its author; the cryptography runs outside of the
    interpreter's lock."""
    parts = [seals[at : at + AHEAD_MIN] for at in range(0, len(seals), AHEAD_MIN)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(lambda part: [holds(seal) for seal in part], parts)
        return [one for part in found for one in part]


def holds(seal: Seal) -> bool:
    """Whether a signature is that of its author, by computing it."""
    # imported on first use: a log without signatures needs no cryptography
    from nacl.exceptions import CryptoError
    from nacl.signing import VerifyKey

    try:
        VerifyKey(raw_key(seal.author)).verify(seal.signed, seal.signature)
    except (CryptoError, ValueError):
        return False
    return True


@lru_cache(maxsize=VERIFIED_MAX)
def raw_key(key: str) -> bytes:
    """The 32 bytes of a public key. Raises ValueError unless it is an nkey of a user."""
    with contextlib.suppress(ValueError):
        data = base64.b32decode(key)
        checksum = int.from_bytes(data[-2:], "little")
        if len(data) == 35 and data[0] == USER_PREFIX and crc_hqx(data[:-2], 0) == checksum:
            return data[1:-2]
    raise ValueError(f"{key!r} is no public key")
