"""Signatures of events: the envelope ends with the key and the Ed25519 signature of its author.

    {"specversion":"1.0", ... ,"data":{...},"author":"UABC...","signature":"cx4f..."}

What is signed are the bytes of the event without the signature: those before `,"signature":`, and
`}`. Nothing has to be brought into a canonical form, because the log keeps every byte."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple, Protocol

from ringrift.events.patterns import matching

KEY_PATTERN = "U[A-Z2-7]{55}"
Key = matching(KEY_PATTERN, "a public key of 56 characters that begins with U")
_KEY_CHARS, _SIGNATURE_CHARS = 56, 86
_TAIL_BYTES = 14 + _SIGNATURE_CHARS + 2


class Signer(Protocol):
    """Who signs: the public key as an nkey of a user, and its private half."""

    @property
    def key(self) -> str: ...

    def sign(self, data: bytes) -> bytes: ...


class Seal(NamedTuple):
    """The signature of an event: the bytes that are signed, the author's key, 64 bytes."""

    signed: bytes
    author: str
    signature: bytes


def sealed(body: bytes, signer: Signer) -> bytes:
    """The bytes of an event with the author's key and signature."""
    signed = body[:-1] + _author(signer.key)
    return signed + _signature(signer.sign(signed + b"}"))


def _author(key: str) -> bytes:
    return b',"author":"' + key.encode() + b'"'


def _signature(signature: bytes) -> bytes:
    return b',"signature":"' + urlsafe_b64encode(signature).rstrip(b"=") + b'"}'


def seal_of(body: bytes | memoryview) -> Seal | None:
    """The signature of an event, if it has one in exactly the form of `sealed`."""
    data = bytes(body)
    signed, tail = data[:-_TAIL_BYTES], data[-_TAIL_BYTES:]
    try:
        key = signed[-_KEY_CHARS - 1 : -1].decode("ascii")
        signature = urlsafe_b64decode(tail[-_SIGNATURE_CHARS - 2 : -2] + b"==")
    except ValueError:
        return None
    # compared as a whole, because Base64 has several spellings of the same bytes
    if tail != _signature(signature) or not signed.endswith(_author(key)):
        return None
    return Seal(signed + b"}", key, signature)
