"""Posts to a real HTTP server: accepted, refused, redirected, slow, and over TLS."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.receiver import receiving

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
