"""The webhook that receives alerts: what is sent, and how.

The body has the shape of Alertmanager's webhook, version 4, with one alert, so that whatever
receives those receives ours: `status` is `firing` or `resolved`; `alerts[0]` has `labels`
(`alertname`, `scope`, `severity`, and `item` if there are several in a scope), `annotations`
(`summary`), `startsAt`, `endsAt` (the year 1 while it fires) and `fingerprint`, which a raised
alert and its clearing share. The header `Idempotency-Key` is the id of the fact: a receiver that
has seen it may ignore a second delivery.

Redirects are not followed: they would take the token elsewhere. asyncio's streams are used because
the timeouts of the standard library's HTTP client are per read, so that a slow receiver could hold
it without end."""

import asyncio
import hashlib
import os
import ssl
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

import msgspec

import ringrift
from ringrift.events import Recorded, facts as f

POST_SECONDS_MAX = 10.0
TOKEN = "RINGRIFT_ALERTS_TOKEN"
PLACEHOLDER = "{token}"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NEVER = "0001-01-01T00:00:00Z"
Change = f.AlertRaised | f.AlertCleared


class Undelivered(Exception):
    """The receiver did not accept the alert; the message says why and names no secret."""


def body(change: Recorded[Change], raised: f.AlertRaised | None) -> bytes:
    """The alert as JSON. A clearing repeats severity and text of what was `raised`."""
    event, meta = change
    fires = isinstance(event, f.AlertRaised)
    shown = event if isinstance(event, f.AlertRaised) else raised
    labels = {"alertname": event.alert, "scope": event.scope}
    if event.item:
        labels["item"] = event.item
    fingerprint = hashlib.sha256(" ".join(labels.values()).encode()).hexdigest()[:16]
    annotations = {"summary": shown.text} if shown else {}
    if shown:
        labels["severity"] = shown.severity
    began = meta.time - timedelta(seconds=event.lasted_seconds)
    status = "firing" if fires else "resolved"
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": began,
        "endsAt": NEVER if fires else meta.time,
        "generatorURL": "",
        "fingerprint": fingerprint,
    }
    found = {
        "version": "4",
        "groupKey": f"ringrift:{fingerprint}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "ringrift",
        "groupLabels": {"alertname": event.alert},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }
    return msgspec.json.encode(found)


async def post(url: str, content: bytes, key: str) -> None:
    """Post JSON under an idempotency key. Raises Undelivered unless the answer is a 2xx."""
    token, parts = os.environ.get(TOKEN, "").strip(), urlsplit(url)
    if not all("!" <= letter <= "~" for letter in token):
        raise Undelivered(f"{TOKEN} has characters that a header cannot carry")
    if token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise Undelivered("the token would be sent in the clear: use https in alerts.webhook")
    try:
        async with asyncio.timeout(POST_SECONDS_MAX):
            status = await _exchange(parts, content, key, token)
    except TimeoutError as error:
        raise Undelivered(f"no answer within {POST_SECONDS_MAX:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise Undelivered(f"the certificate is not valid: {error.verify_message}") from error
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Undelivered(f"no answer: {error}") from error
    if status // 100 == 3:
        raise Undelivered(f"status {status}: redirects are not followed; give the final address")
    if status // 100 != 2:
        raise Undelivered(f"status {status}")


async def _exchange(parts: SplitResult, content: bytes, key: str, token: str) -> int:
    """Send one request; the status of the answer, whose rest is not read."""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = ssl.create_default_context() if secure else None
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    try:
        writer.write(_head(parts, len(content), key, token) + content)
        await writer.drain()
        line = await reader.readuntil(b"\n")
    finally:
        writer.transport.abort()
    version, status, *_ = line.decode("latin-1").split()
    if not version.startswith("HTTP/1."):
        raise ValueError("that is not HTTP")
    return int(status)


def _head(parts: SplitResult, length: int, key: str, token: str) -> bytes:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path.replace(PLACEHOLDER, token)} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        f"Idempotency-Key: {key}",
        f"User-Agent: ringrift/{ringrift.__version__}",
        "Connection: close",
    ]
    if token and PLACEHOLDER not in path:
        lines.append(f"Authorization: Bearer {token}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()
