"""Signatures of events: the envelope ends with the key and the Ed25519 signature of its author.

    {"specversion":"1.0", ... ,"data":{...},"author":"UABC...","signature":"cx4f..."}

What is signed are the bytes of the event without the signature: those before `,"signature":`, and
`}`. Nothing has to be brought into a canonical form, because the log keeps every byte.

Events of an atomic batch share one signature, of the root of a Merkle tree (RFC 9162) over them:

    ... ,"author":"UABC...","batch":"3.100.kQ2x...","signature":"cx4f..."}

The leaf of an event is the hash of its bytes before `,"batch":`, and `}`; it is number 3 of 100,
and the rest of the text is its path to the root. Signed is `{"batch":"<root>","size":100}`. So each
event can be verified by itself, and after one of a batch only hashes remain to be computed."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ringrift.events.merkle import HASH_BYTES, leaf_hash, root_above, root_and_paths
from ringrift.events.patterns import matching

KEY_PATTERN = "U[A-Z2-7]{55}"
Key = matching(KEY_PATTERN, "a public key of 56 characters that begins with U")
_AUTHOR = b',"author":"'
_TAIL = re.compile(
    rb',"author":"(%b)"(?:,"batch":"([0-9]{1,6})[.]([0-9]{1,6})[.]([\w-]{0,1024})")?'
    rb',"signature":"([\w-]{86})"}' % KEY_PATTERN.encode()
)


class Signer(Protocol):
    """Who signs: the public key as an nkey of a user, and its private half."""

    @property
    def key(self) -> str: ...

    def sign(self, data: bytes) -> bytes: ...


class Seal(NamedTuple):
    """The signature of an event: the bytes that are signed (the event, or a statement about its
    batch), the author's key, 64 bytes."""

    signed: bytes
    author: str
    signature: bytes


def sealed(body: bytes, signer: Signer) -> bytes:
    """The bytes of an event with the author's key and signature."""
    signed = body[:-1] + _author(signer.key)
    return signed + _signature(signer.sign(signed + b"}"))


def sealed_together(bodies: Sequence[bytes], signer: Signer) -> list[bytes]:
    """The bytes of the events of a batch with the author's key and one signature: 4 us an event in
    batches of a hundred instead of 24."""
    if len(bodies) < 2:
        return [sealed(body, signer) for body in bodies]
    author, size = _author(signer.key), len(bodies)
    heads = [body[:-1] + author for body in bodies]
    root, paths = root_and_paths([leaf_hash(head + b"}") for head in heads])
    signature = _signature(signer.sign(_statement(root, size)))
    return [
        head + _place(number, size, path) + signature
        for number, (head, path) in enumerate(zip(heads, paths, strict=True))
    ]


def _author(key: str) -> bytes:
    return _AUTHOR + key.encode() + b'"'


def _place(number: int, size: int, path: bytes) -> bytes:
    return b',"batch":"%d.%d.%b"' % (number, size, urlsafe_b64encode(path).rstrip(b"="))


def _statement(root: bytes, size: int) -> bytes:
    return b'{"batch":"%b","size":%d}' % (root.hex().encode(), size)


def _signature(signature: bytes) -> bytes:
    return b',"signature":"' + urlsafe_b64encode(signature).rstrip(b"=") + b'"}'


def seal_of(body: bytes | memoryview) -> Seal | None:
    """The signature of an event, if it has one in exactly the form of `sealed` or of
    `sealed_together`."""
    data = bytes(body)
    at = max(data.rfind(_AUTHOR), 0)
    found = _TAIL.fullmatch(data, at)
    if found is None:
        return None
    key, number, size, path, signature = found.groups()
    tail, event = _author(key.decode()), data[: found.end(1) + 1] + b"}"
    signed: bytes | None = event
    try:
        if number is not None:
            siblings = _decoded(path)
            tail += _place(int(number), int(size), siblings)
            signed = _batch_of(event, int(number), int(size), siblings)
        # compared as a whole, because numbers and Base64 have several spellings
        if signed is None or data[at:] != tail + _signature(_decoded(signature)):
            return None
    except ValueError:
        return None
    return Seal(signed, key.decode(), _decoded(signature))


def _decoded(text: bytes) -> bytes:
    """The bytes in Base64 without padding. Raises ValueError."""
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _batch_of(event: bytes, number: int, size: int, siblings: bytes) -> bytes | None:
    """The statement about the batch to which an event belongs by its path."""
    path = [siblings[at : at + HASH_BYTES] for at in range(0, len(siblings), HASH_BYTES)]
    root = root_above(leaf_hash(event), number, size, path)
    return None if root is None else _statement(root, size)
