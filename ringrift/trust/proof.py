"""Proofs on demand: that the log has a message, and that it only grew between two sizes.

A proof is a JSON file that anyone can check without the log, with the public keys of those who sign
the sizes of its trees (`docs/certificates.md`); checking takes O(log n) hashes."""

import msgspec
from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.events.merkle import extends, includes
from ringrift.trust.certificate import Keys, Stored

FORMAT = "ringrift.proof.v1"
STATEMENTS = {"TreeHeadRecorded": "size", "PromotionAttested": "promotion"}
"""facts that say which root the tree of a size has, and their field with the size"""


class Proof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """About the tree of the first `size` messages, with this root.

    Either `event` is one of them, by its own proof, or it begins with the `old` messages under
    `old_root`, by `path`. `statements` are signed facts about the roots of these sizes."""

    format: str
    size: int
    root: str
    event: Stored | None = None
    old: int = 0
    old_root: str = ""
    path: tuple[str, ...] = ()
    statements: tuple[Stored, ...] = ()


def read(data: bytes) -> Proof:
    """Return a proof. Raises CommandError."""
    try:
        found = msgspec.json.decode(data, type=Proof)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"no proof: {error}") from error
    if found.format != FORMAT or (found.event is None) != bool(found.old):
        raise CommandError(f"no proof of format {FORMAT}")
    return found


def verify(proof: Proof, keys: Keys) -> tuple[bool, list[str]]:
    """Whether a proof holds and a trusted key signed the root of its tree, and that in words."""
    names, vouched = {one.key: one.node for one in keys.nodes}, False
    try:
        lines = [_claim(proof)]
        for size, root in ((proof.old, proof.old_root), (proof.size, proof.root)):
            if not size:
                continue
            said = [(_roots(it).get(size), it.author) for it in proof.statements]
            signed = sorted({names[key] for it, key in said if it == root and key in names})
            others = sorted({names[key] for it, key in said if it != root and it and key in names})
            who, vouched = ", ".join(signed) or "no key that you trust", bool(signed)
            lines.append(f"root of {size:,} messages: {root}, signed by {who}")
            if others:
                lines.append(f"signed another root of {size:,} messages: {', '.join(others)}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return False, [f"fails: {error}"]
    return vouched, lines


def _claim(proof: Proof) -> str:
    """What a proof proves. Raises ValueError if it does not."""
    size, root, event = proof.size, bytes.fromhex(proof.root), proof.event
    if event is None:
        path, old = [bytes.fromhex(it) for it in proof.path], proof.old
        if not extends(old, bytes.fromhex(proof.old_root), size, root, path):
            raise ValueError(f"the tree of {size:,} messages does not begin with that of {old:,}")
        return f"the first {old:,} of {size:,} messages are the same, in the same order"
    path = [bytes.fromhex(it) for it in event.proof]
    if not includes(event.leaf, event.seq - 1, size, path, root):
        raise ValueError(f"EVENTS/{event.seq} is not in the tree of {size:,} messages")
    return f"EVENTS/{event.seq}, {event.event['type']}, is among the first {size:,} messages"


def _roots(statement: Stored) -> dict[int, str]:
    """The size and root of which a statement speaks."""
    event = statement.event
    kind, data = str(event["type"]).split(".")[1], event["data"]
    return {data[STATEMENTS[kind]]: data["root"]} if kind in STATEMENTS else {}
