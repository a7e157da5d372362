"""Contexts of the `nats` command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringrift.cluster.files import parse_nodes, write_cluster, write_node
from ringrift.cluster.nats_context import line_to_type, of_cluster, of_environment, path_of, write
from ringrift.errors import CommandError
from ringrift.log.identity import NodeKey
from ringrift.log.login import AUTHORITY, CREDENTIALS

VIEW = "nats --context ringrift stream view EVENTS"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(AUTHORITY, raising=False)
    monkeypatch.delenv(CREDENTIALS, raising=False)
    return tmp_path


def written(name: str = "ringrift") -> dict[str, str]:
    found: dict[str, str] = json.loads(path_of(name).read_text())
    return found


def test_a_laptop_has_an_address_only() -> None:
    path = write("ringrift", of_environment("nats://127.0.0.1:4222"))
    assert written() == {"description": "RingRift", "url": "nats://127.0.0.1:4222"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("role", ["oncall", "viewer"])
def test_a_role_of_a_cluster_has_its_user_and_the_authority(place: Path, role: str) -> None:
    folder = place / "cluster"
    write_cluster(folder, parse_nodes("a=h1,b=h2,c=h3:4300"), users=True, tls=True)
    write("ringrift", of_cluster(folder, role))
    assert written() == {
        "description": f"RingRift as {role}",
        "url": "tls://h1:4222,tls://h2:4222,tls://h3:4300",
        "creds": str(folder / f"credentials/{role}.creds"),
        "ca": str(folder / "authority" / "ca.pem"),
        "inbox_prefix": f"_FLEET.{role}",
    }


def test_the_environment_names_user_and_authority(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "me.txt").write_text("viewer:secret")
    monkeypatch.setenv(CREDENTIALS, str(place / "me.txt"))
    found = of_environment("nats://h1:4222,nats://h2:4222")
    assert (found.user, found.password, found.inbox_prefix) == ("viewer", "secret", "_FLEET.viewer")
    assert found.url == "nats://h1:4222,nats://h2:4222"


def test_a_login_without_its_seed_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cluster(place, parse_nodes("a=h1"), users=True, tls=False)
    path = write_node(place, "gpu1", NodeKey.new().key, ["worker"])
    monkeypatch.setenv(CREDENTIALS, str(path))
    with pytest.raises(CommandError, match="has no seed, which the tool needs"):
        of_environment("nats://h1:4222")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "a b"])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(CommandError, match="is no name of a context"):
        write(name, of_environment("nats://h:1"))


def test_a_folder_without_voters_is_refused(place: Path) -> None:
    with pytest.raises(CommandError, match="cluster init"):
        of_cluster(place, "viewer")


def test_the_line_to_type_makes_the_context_only_if_it_is_another_ones() -> None:
    assert line_to_type("nats://h1:4222") == f"ringrift context && {VIEW}"
    write("ringrift", of_environment("nats://h1:4222,nats://h2:4222"))
    assert line_to_type("nats://me:secret@h2:4222") == VIEW
    assert line_to_type("nats://h3:4222", "make it") == f"make it && {VIEW}"
    path_of("ringrift").write_text("{")
    assert line_to_type("nats://h1:4222") == f"ringrift context && {VIEW}"
