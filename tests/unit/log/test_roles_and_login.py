from __future__ import annotations

from pathlib import Path

import pytest

from ringrift.events.settings_sources import from_environment
from ringrift.log.errors import Forbidden, Unreachable
from ringrift.log.login import AUTHORITY, CREDENTIALS, inbox_prefix, login_for
from ringrift.log.wire import forbidden_in
from ringrift.runtime.processes import PROCESSES
from ringrift.server.configuration import Voter, nats_conf, shipped_conf, voter_conf
from ringrift.server.roles import new_passwords, roles, users_conf

ROLES = roles(PROCESSES.values())


def test_only_the_coordinator_and_the_operator_promote() -> None:
    promoting = {
        name
        for name, role in ROLES.items()
        if (role.publish is None and "ringrift.>" not in role.deny)
        or "ringrift.promotion.*.model-promoted" in (role.publish or ())
    }
    assert promoting == {"coordinator", "operator"}


def test_passwords_are_new_every_time_and_long() -> None:
    one, other = new_passwords(ROLES), new_passwords(ROLES)
    assert one.keys() == ROLES.keys()
    assert not set(one.values()) & set(other.values())
    assert min(map(len, one.values())) > 40
    assert all(password in users_conf(ROLES, one) for password in one.values())


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
    path.write_text("worker\n")
    with pytest.raises(Unreachable, match="no line user:password"):
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
    assert str(listening).startswith("a client without a user may not listen to a.>")
    assert forbidden_in("Stale Connection", None) is None


def test_both_texts_of_the_server_come_from_one_source() -> None:
    include = "include ./ops/voter.conf\n"
    assert shipped_conf().replace(include, voter_conf(Voter())) == nats_conf(Voter())
    assert "cluster {" not in voter_conf(Voter())
    joined = voter_conf(
        Voter(
            name="b",
            routes=("a:6222",),
            route_password="secret",
            advertise="b:4222",
            leaf_port=7422,
        )
    )
    assert '"nats://route:secret@a:6222"' in joined
    assert 'client_advertise: "b:4222"' in joined
