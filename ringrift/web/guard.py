"""Who may see and who may change: security headers, the host header, bounds on requests, and the
operator's token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "ringrift"
COOKIE_SECONDS = 30 * 86_400
BODY_BYTES_MAX = 1024 * 1024
PATH_BYTES_MAX, QUERY_BYTES_MAX = 4096, 8192
"""Python converts a number of at most 4300 digits, so every number in a path is converted"""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


class Guard:
    """The operator's token, and the names under which this server may be reached."""

    def __init__(self, token: str | None = None, hosts: Iterable[str] = ()) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self.hosts = frozenset((*LOOPBACK, *(host.lower() for host in hosts)))
        self.cookie = hmac.new(self.token.encode(), b"ringrift web", hashlib.sha256).hexdigest()

    def is_operator(self, request: Request) -> bool:
        """Whether a request carries the operator's token, in a header or as the cookie."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.accepts(given.strip()):
            return True
        return _same(request.cookies.get(COOKIE, ""), self.cookie)

    def accepts(self, token: str) -> bool:
        """Whether this is the token."""
        return _same(token, self.token)

    def knows(self, host: str) -> bool:
        """Whether a host header names this server. An address cannot be rebound by a name server,
        so every address is accepted where the server listens beyond loopback."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # a bracket without its other half
            return False
        return name in self.hosts or ("*" in self.hosts and _is_address(name))


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def require_operator(request: Request) -> None:
    """Raise HTTPException unless a request carries the operator's token and comes from one of our
    own pages."""
    guard: Guard = request.app.state.guard
    if not same_origin(request):
        raise HTTPException(403, "the request comes from a page of another site")
    if not guard.is_operator(request):
        raise HTTPException(401, "this needs the operator's token: sign in first")


def same_origin(request: Request) -> bool:
    """Whether a request comes from one of our own pages, or from no page at all."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        return False
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")


class Bounds:
    """Middleware: refuses foreign host names and what is too large, and adds the security
    headers."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app, self.guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                added = (header for header in HEADERS if header[0] not in own)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        if refusal := self._refusal(scope):
            await refusal(scope, receive, sealed)
            return
        left = BODY_BYTES_MAX

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, f"the request has more than {BODY_BYTES_MAX} bytes")
            return message

        await self.app(scope, bounded, sealed)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not self.guard.knows(host):
            text = f"{host[:100]!r} is no name of this server: give it with --name\n"
            return PlainTextResponse(text, 421)
        path, query = len(scope.get("raw_path") or b""), len(scope["query_string"])
        if path > PATH_BYTES_MAX or query > QUERY_BYTES_MAX:
            return PlainTextResponse("the address is too long\n", 414)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            return PlainTextResponse(f"more than {BODY_BYTES_MAX} bytes are not read\n", 413)
        return None
