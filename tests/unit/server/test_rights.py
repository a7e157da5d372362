"""Each role may write what its processes write, and nothing else."""

from __future__ import annotations

import pytest

from ringrift.events.facts import GameCompleted, ModelPromoted, TickRecorded, TreeHeadRecorded
from ringrift.log.topology import CONTROL_BUCKET, LEASE_BUCKET
from ringrift.runtime.processes import AUTHORS
from ringrift.server.roles import Role, combined, roles

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


def test_a_process_writes_about_itself_under_its_own_name_only() -> None:
    for role in ("worker", "trainer", "evaluator", "coordinator", "archiver", "renter"):
        written = ROLES[role].publish or ()
        assert "ringrift.consumer.{{name()}}.started" in written
        assert "$KV.nodes.{{name()}}.>" in written
        assert not {"ringrift.consumer.*.started", "$KV.nodes.>", "$KV.nodes.*.>"} & {*written}
    head = TreeHeadRecorded.event_type.filter("{{name()}}")
    assert head in (ROLES["coordinator"].publish or ())


def test_a_node_with_several_roles_has_the_rights_of_each_and_no_others() -> None:
    both = combined(ROLES, ["worker", "evaluator"])
    members = [ROLES[name] for name in ("worker", "evaluator")]
    assert {*(both.publish or ())} == {each for one in members for each in one.publish or ()}
    assert {*(both.subscribe or ())} == {each for one in members for each in one.subscribe or ()}


def test_users_of_the_servers_account_have_no_streams() -> None:
    assert {name for name, role in ROLES.items() if role.system} == {"system", "scrubber"}
