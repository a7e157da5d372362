"""Each role may write what its processes write, and nothing else."""

from __future__ import annotations

import json

import pytest

from ringrift.events.facts import GameCompleted, ModelPromoted, TickRecorded
from ringrift.log.topology import CONTROL_BUCKET, LEASE_BUCKET
from ringrift.runtime.processes import AUTHORS
from ringrift.server.roles import Role, new_passwords, roles, users_conf

ROLES = roles(AUTHORS)


def may_publish(role: Role, subject: str) -> bool:
    anything = role.publish is None and "ringrift.>" not in role.deny
    return not role.system and (anything or subject in (role.publish or ()))


@pytest.mark.parametrize(
    ("kind", "writers"),
    [
        (ModelPromoted, {"coordinator", "operator"}),
        (GameCompleted, {"worker", "evaluator", "operator"}),
        (TickRecorded, {"coordinator", "operator"}),
    ],
)
def test_a_fact_is_written_by_the_roles_of_its_processes(kind, writers) -> None:
    subject = kind.event_type.subject_filter
    assert {name for name, role in ROLES.items() if may_publish(role, subject)} == writers


def test_a_role_holds_the_leases_of_its_own_processes() -> None:
    for lease, holder in (("planner", "coordinator"), ("archiver", "archiver")):
        for subject in (f"$KV.{LEASE_BUCKET}.{lease}", f"ringrift.lease.{lease}.acquired"):
            allowed = {name for name, role in ROLES.items() if may_publish(role, subject)}
            assert allowed == {holder, "operator"}


def test_only_the_archiver_purges_games_and_writes_none() -> None:
    archiver = {"archiver", "operator"}
    for subject in ("$JS.API.STREAM.PURGE.GAMES", "$JS.API.STREAM.PURGE.EVENTS"):
        assert {name for name, role in ROLES.items() if may_publish(role, subject)} == archiver
    written = ROLES["archiver"].publish or ()
    assert not any(subject.startswith(("ringrift.game.", "$O.")) for subject in written)


def test_only_the_operator_requests_updates_of_nodes() -> None:
    subject = f"$KV.{CONTROL_BUCKET}.>"
    assert {name for name, role in ROLES.items() if may_publish(role, subject)} == {"operator"}


def test_passwords_are_random_and_long() -> None:
    one, other = new_passwords(ROLES), new_passwords(ROLES)
    assert one.keys() == ROLES.keys()
    assert not set(one.values()) & set(other.values())
    assert min(map(len, one.values())) > 40


def test_the_file_of_users_has_every_role_with_its_password() -> None:
    passwords = new_passwords(ROLES)
    text = users_conf(ROLES, passwords)
    assert all(password in text for password in passwords.values())
    assert text.count('"user":') == len(ROLES)


def test_users_of_the_servers_account_have_no_streams() -> None:
    users = json.loads(users_conf(ROLES, new_passwords(ROLES)))
    system = {user["user"] for user in users["accounts"]["$SYS"]["users"]}
    assert system == {"system", "scrubber"}
    assert not system & {user["user"] for user in users["authorization"]["users"]}
