"""Posts to a real HTTP server: accepted, refused, redirected, slow, and over TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from ringrift.cluster.certificates import make_authority, make_server
from ringrift.consumers import webhook
from ringrift.consumers.webhook import Undelivered, body, post
from ringrift.events import EventMeta, Recorded, facts as f

TIME = datetime(2026, 11, 29, 12, tzinfo=UTC)
META = EventMeta("EVENTS", 7, "", "id-7", "", TIME, None)
RAISED = f.AlertRaised(
    alert="consumer-missing",
    scope="trainer",
    severity="critical",
    text="no process `trainer` <b>runs</b> \u0007 \N{SNOWMAN}",
    lasted_seconds=90.0,
)


class Receiver(ThreadingHTTPServer):
    """Answers with `status` and keeps the requests; a slow one answers when it is closed."""

    daemon_threads = True

    def __init__(self, status: int = 200, *, slow: bool = False, tls: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.slow, self.closed = status, slow, Event()
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "server.pem", tls / "server.key")
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/hook"

    def handle_error(self, *_: object) -> None:
        """A client that does not trust the certificate hangs up."""


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), content))
        if self.server.slow:
            self.server.closed.wait()
            return
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "http://elsewhere.example/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(status: int = 200, **options) -> Iterator[Receiver]:
    with Receiver(status, **options) as receiver:
        thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        receiver.closed.set()
        receiver.shutdown()
        thread.join()


async def test_an_alert_arrives_in_the_shape_of_alertmanager() -> None:
    with receiving() as receiver:
        await post(receiver.url, body(Recorded(RAISED, META), RAISED), "id-7")
    ((path, headers, content),) = receiver.seen
    assert (path, headers["Content-Type"], headers["Idempotency-Key"]) == (
        "/hook",
        "application/json",
        "id-7",
    )
    assert "Authorization" not in headers
    found = json.loads(content)
    (alert,) = found["alerts"]
    assert (found["version"], found["status"], alert["status"]) == ("4", "firing", "firing")
    assert alert["labels"] == {
        "alertname": "consumer-missing",
        "scope": "trainer",
        "severity": "critical",
    }
    assert alert["annotations"] == {"summary": RAISED.text}
    assert alert["startsAt"] == "2026-11-29T11:58:30Z"


def test_what_is_cleared_has_the_fingerprint_and_severity_of_what_was_raised() -> None:
    cleared = f.AlertCleared(alert="consumer-missing", scope="trainer", lasted_seconds=120.0)
    raised = json.loads(body(Recorded(RAISED, META), RAISED))["alerts"][0]
    (ended,) = json.loads(body(Recorded(cleared, META), RAISED))["alerts"]
    assert (ended["status"], ended["endsAt"]) == ("resolved", "2026-11-29T12:00:00Z")
    for name in ("fingerprint", "labels"):
        assert ended[name] == raised[name]


@pytest.mark.parametrize(
    ("status", "why"), [(302, "redirects are not followed"), (404, "404"), (500, "500")]
)
async def test_what_is_not_accepted_is_not_delivered(status: int, why: str) -> None:
    with receiving(status) as receiver, pytest.raises(Undelivered, match=why):
        await post(receiver.url, b"{}", "id")
    assert len(receiver.seen) == 1


async def test_a_slow_receiver_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "POST_SECONDS_MAX", 0.1)
    with receiving(slow=True) as receiver, pytest.raises(Undelivered, match="no answer within"):
        await post(receiver.url, b"{}", "id")


async def test_a_receiver_that_is_not_there_is_reported() -> None:
    with receiving() as receiver:
        url = receiver.url
    with pytest.raises(Undelivered, match="no answer: "):
        await post(url, b"{}", "id")


async def test_the_token_is_sent_as_a_header_or_in_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RINGRIFT_ALERTS_TOKEN", "s3cret")
    with receiving() as receiver:
        await post(receiver.url, b"{}", "id")
        await post(f"{receiver.url}/{{token}}?x=1", b"{}", "id")
    (first, headers, _), (second, others, _) = receiver.seen
    assert (first, headers["Authorization"]) == ("/hook", "Bearer s3cret")
    assert (second, "Authorization" in others) == ("/hook/s3cret?x=1", False)


@pytest.mark.parametrize("token", ["s3cret", "a\nb"])
async def test_a_token_is_not_sent_in_the_clear_or_split(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("RINGRIFT_ALERTS_TOKEN", token)
    with pytest.raises(Undelivered) as refused:
        await post("http://alerts.example/", b"{}", "id")
    assert token not in str(refused.value)


async def test_a_certificate_of_an_unknown_authority_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_authority(tmp_path)
    make_server(tmp_path, tmp_path / "server", "receiver", ["127.0.0.1"])
    with receiving(tls=tmp_path / "server") as receiver:
        with pytest.raises(Undelivered, match="the certificate is not valid"):
            await post(receiver.url, b"{}", "id")
        assert not receiver.seen
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        await post(receiver.url, b"{}", "id")
        assert len(receiver.seen) == 1
        with pytest.raises(Undelivered):
            await post(receiver.url.replace("https", "http"), b"{}", "id")
