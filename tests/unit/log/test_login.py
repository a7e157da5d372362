"""The user of a connection, and the server's denials."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringrift.events.settings_sources import from_environment
from ringrift.log.errors import Forbidden, Unreachable
from ringrift.log.login import AUTHORITY, CREDENTIALS, inbox_prefix, login_for, wants_tls
from ringrift.log.wire import forbidden_in


def test_the_login_is_that_of_the_address_else_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CREDENTIALS, raising=False)
    assert login_for("nats://host:4222") is None
    assert inbox_prefix(None) == "_INBOX"
    path = tmp_path / "worker.txt"
    path.write_text("worker:a:b\n")
    monkeypatch.setenv(CREDENTIALS, str(path))
    login = login_for("nats://host:4222")
    assert login is not None
    assert (login.user, login.password, inbox_prefix(login)) == ("worker", "a:b", "_INBOX.worker")
    login = login_for("nats://viewer:p%40ss@host:4222")
    assert login is not None
    assert (login.user, login.password) == ("viewer", "p@ss")
    path.write_text("worker:a:b\n", "utf-8-sig")
    login = login_for("nats://host:4222")
    assert login is not None
    assert login.user == "worker"
    path.write_text("worker\n")
    with pytest.raises(Unreachable, match="has no token of a user"):
        login_for("nats://host:4222")


def test_the_variables_of_a_login_are_no_settings() -> None:
    assert from_environment({CREDENTIALS: "a", AUTHORITY: "b"}) == {}


def test_a_denial_is_recognised_in_the_servers_words() -> None:
    denial = forbidden_in('Permissions Violation for Publish to "a.b"', "viewer")
    assert isinstance(denial, Forbidden)
    assert (
        str(denial)
        == "user 'viewer' may not publish to a.b: use the credentials of a role that may"
    )
    listening = forbidden_in(
        'Permissions Violation for Subscription to "a.>" using queue "q"', None
    )
    assert str(listening).startswith("a client without a user may not subscribe to a.>")
    assert forbidden_in("Stale Connection", None) is None


@pytest.mark.parametrize(
    ("server", "without", "with_authority"),
    [
        ("nats://10.0.0.1:4222", False, True),
        ("nats://127.0.0.1:4222", False, False),
        ("nats://[::1]:4222", False, False),
        ("tls://127.0.0.1:4222", True, True),
        ("tls://host", True, True),
    ],
)
def test_tls_is_wanted_where_the_address_or_an_authority_says_so(
    server: str, without: bool, with_authority: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(AUTHORITY, raising=False)
    assert wants_tls(server) == without
    monkeypatch.setenv(AUTHORITY, "ca.pem")
    assert wants_tls(server) == with_authority
