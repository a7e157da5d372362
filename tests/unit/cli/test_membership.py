"""What `ringrift cluster replace` refuses before it asks the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringrift.cli.membership import replace
from ringrift.cluster.files import parse_members, write_cluster
from ringrift.errors import CommandError

ADDRESS = "127.0.0.1:14999"


@pytest.mark.parametrize(
    ("old", "by", "reason"),
    [
        ("a", "b", "b is a voter already; give the new voter a name of its own"),
        ("a", "a", "a is a voter already"),
        ("x", "d", "x is no voter of"),
    ],
)
async def test_only_a_voter_is_replaced_and_only_by_a_new_one(
    tmp_path: Path, old: str, by: str, reason: str
) -> None:
    nodes = ",".join(f"{name}=127.0.0.1:{14222 + 10 * at}" for at, name in enumerate("abc"))
    write_cluster(tmp_path, parse_members(nodes), users=False, tls=False)
    with pytest.raises(CommandError, match=reason):
        await replace(old, by=f"{by}={ADDRESS}", output=tmp_path)
