"""Users of a cluster and their rights."""

from __future__ import annotations

from ringrift.runtime.processes import PROCESSES
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
