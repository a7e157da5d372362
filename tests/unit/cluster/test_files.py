"""Voters as the operator names them, and fleet files."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from pathlib import Path

import pytest

from ringrift.cluster.files import Node, parse_nodes, write_cluster, write_node
from ringrift.cluster.fleet_file import read_fleet
from ringrift.errors import CommandError
from ringrift.log.errors import Unreachable
from ringrift.log.identity import KEY, key_path, make_key
from ringrift.log.login import (
    AUTHORITY,
    CREDENTIALS,
    SERVER,
    check_name,
    login_for,
    name_here,
    servers_here,
    tls_context,
    wants_tls,
)
from ringrift.log.topology import CONSUMERS, PEERS_EXPECTED
from ringrift.runtime.host import node_name


def test_voters_have_a_name_a_host_and_a_port() -> None:
    nodes = parse_nodes("a=10.0.0.1, b=10.0.0.2:4300,c=host")
    assert nodes == [Node("a", "10.0.0.1"), Node("b", "10.0.0.2", 4300), Node("c", "host", 4222)]
    assert nodes[1].route == "10.0.0.2:6300"


def test_an_ipv6_address_is_written_in_brackets(tmp_path: Path) -> None:
    nodes = parse_nodes("a=[::1]:14222,b=[::1]:14223,c=[fd00::7]")
    assert [(node.host, node.port) for node in nodes[1:]] == [("[::1]", 14223), ("[fd00::7]", 4222)]
    voters = write_cluster(tmp_path, nodes, users=False, tls=False)
    assert [voter.host for voter in voters] == ["[::1]", "[::1]", "[::]"]
    assert voters[0].settings()["host"] == "::1"
    assert voters[0].settings()["cluster"]["listen"] == "[::1]:16222"
    assert voters[0].routes == ("[::1]:16223", "[fd00::7]:6222")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "'a' is not a voter"),
        ("A=host", "NAME in lower case"),
        ("a=host:x", "'a=host:x' is not a voter"),
        ("a=::1", "an IPv6 address in brackets"),
        ("a=[::1", "is not a voter"),
        ("a=host:0", "is not a voter"),
        ("a=host:61536", "PORT up to 61535"),
        ("a=host:99999999999999999999", "is not a voter"),
        ("a=h\nb", "is not a voter"),
        ("a\n=h", "is not a voter"),
        ("a=h,b=h,c=i", "two voters have the same name or address"),
        ("a=h,b=i", "2 voters: give 1, 3 or 5"),
        ("", "0 voters: give 1, 3 or 5"),
    ],
)
def test_other_voters_are_refused(text: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        parse_nodes(text)


def test_keys_are_kept_when_files_are_written_again(tmp_path: Path) -> None:
    nodes = parse_nodes("a=h1,b=h2,c=h3")
    (first, *_) = write_cluster(tmp_path, nodes, users=True, tls=False)
    secrets = kept(tmp_path)
    (second, *_) = write_cluster(tmp_path, nodes, users=True, tls=False)
    assert first == second
    assert first.routes == ("h2:6222", "h3:6222")
    assert secrets == kept(tmp_path)
    assert {"oncall.creds", "ringrift.jwt", "route.txt"} <= {path.name for path in secrets}


def test_a_node_needs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = parse_nodes("a=h1,b=h2,c=h3")
    write_cluster(tmp_path, nodes, users=True, tls=True)
    key = make_key(tmp_path / "machine")
    path = write_node(tmp_path, "gpu1", key.key, ["worker"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert "SEED" not in path.read_text()
    for name in (AUTHORITY, SERVER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CREDENTIALS, str(path))
    monkeypatch.setenv(KEY, str(key_path(tmp_path / "machine")))
    login = login_for("tls://h1:4222")
    assert login is not None
    assert (login.user, login.is_node) == ("gpu1", True)
    assert login.fields("AAAA").keys() == {"jwt", "sig"}
    with pytest.raises(Unreachable, match="no nonce"):
        login.fields('{"specversion":"1.0"}')
    assert servers_here() == "tls://h1:4222,tls://h2:4222,tls://h3:4222"
    assert wants_tls("nats://10.0.0.1:4222")
    assert len(tls_context().get_ca_certs()) == 1
    assert name_here() == node_name() == "gpu1"
    check_name("gpu1")
    with pytest.raises(Unreachable, match="those of node gpu1, not of 'gpu2'"):
        check_name("gpu2")


def test_a_cluster_with_passwords_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "operator.txt").write_text("operator:secret")
    with pytest.raises(CommandError, match="`ringrift cluster grow --from"):
        write_cluster(tmp_path, parse_nodes("a=h1"), users=True, tls=False)


def kept(folder: Path) -> dict[Path, str]:
    """The files with keys, tokens and passwords of a cluster."""
    names = ("*.creds", "*.nk", "*.jwt", "route.txt")
    return {path: path.read_text() for name in names for path in folder.rglob(name)}


def test_a_table_of_several_nodes_names_them_by_number(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    table = 'provider = "p"\naccelerator = "x"\nvram_gib = 8\ncost_per_hour = 0.5\n'
    path.write_text(f'[[node]]\nname = "one"\n{table}[[node]]\nname = "two"\ncount = 2\n{table}')
    assert [node.fact.node for node in read_fleet(path)] == ["one", "two-1", "two-2"]
    path.write_bytes(BOM_UTF8 + path.read_bytes())
    assert len(read_fleet(path)) == 3
    path.write_text(f'[[node]]\nname = "one"\n{table}[[node]]\nname = "one"\n{table}')
    with pytest.raises(CommandError, match="two nodes are called one"):
        read_fleet(path)
    path.write_text(f'[[node]]\nname = "One"\n{table}')
    with pytest.raises(CommandError, match=r"fleet.*a name of 1 to 64 lower-case letters"):
        read_fleet(path)


@pytest.mark.parametrize(("text", "copies"), [("a=h", 1), ("a=h1,b=h2,c=h3", 3)])
def test_the_streams_of_a_cluster_have_its_number_of_copies(
    tmp_path: Path, text: str, copies: int
) -> None:
    write_cluster(tmp_path, parse_nodes(text), users=False, tls=False)
    streams = [json.loads(path.read_text()) for path in (tmp_path / "streams").iterdir()]
    assert {stream["num_replicas"] for stream in streams} == {copies}
    expected = str(copies) if copies > 1 else None
    assert {stream["metadata"].get(PEERS_EXPECTED) for stream in streams} == {expected}
    assert len(list((tmp_path / "consumers").iterdir())) == len(CONSUMERS)
