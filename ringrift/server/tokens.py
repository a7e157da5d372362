"""Tokens of nats-server's decentralised authentication: JSON Web Tokens signed by Ed25519 keys.

`header.claims.signature`, each in base64url without padding. The claims are JSON; `jti` is their
digest, `iss` the key that signed, `sub` the key that the token is about. The form is that of
github.com/nats-io/jwt, version 2, so that `nats auth` and `nsc` read what is written here."""

import base64
import hashlib
import time
from typing import Any

import msgspec

from ringrift.log.identity import NodeKey
from ringrift.log.login import claims_in

VERSION = 2
_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'
Claims = dict[str, Any]


def signed(claims: Claims, by: NodeKey, *, after: int = 0) -> str:
    """The token of some claims with `name`, `sub` and `nats`. It is dated after the second `after`,
    the time of the token that it replaces: servers keep the newer one."""
    issued = max(int(time.time()), after + 1)
    body = {"jti": "", "iat": issued, "iss": by.key} | {
        name: value for name, value in claims.items() if name not in ("jti", "iat", "iss")
    }
    digest = hashlib.new("sha512_256", msgspec.json.encode(body)).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    text = f"{_encoded(_HEADER)}.{_encoded(msgspec.json.encode(body))}"
    return f"{text}.{_encoded(by.sign(text.encode()))}"


def verified(token: str) -> Claims:
    """The claims of a token that the key it names has signed. Raises ValueError."""
    from nacl.exceptions import CryptoError
    from nacl.signing import VerifyKey

    claims = claims_in(token)
    text, _, signature = token.rpartition(".")
    key = base64.b32decode(str(claims["iss"]))[1:-2]
    try:
        VerifyKey(key).verify(text.encode(), base64.urlsafe_b64decode(f"{signature}=="))
    except (CryptoError, ValueError) as error:
        raise ValueError("the signature of the token is wrong") from error
    return claims


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
