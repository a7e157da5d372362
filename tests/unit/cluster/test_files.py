"""Voters as the operator names them, and fleet files."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from pathlib import Path

import pytest

from ringrift.cluster.files import Node, parse_nodes, write_cluster
from ringrift.cluster.fleet_file import read_fleet
from ringrift.errors import CommandError
from ringrift.log.topology import CONSUMERS, PEERS_EXPECTED


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


def test_passwords_are_kept_when_files_are_written_again(tmp_path: Path) -> None:
    nodes = parse_nodes("a=h1,b=h2,c=h3")
    (first, *_) = write_cluster(tmp_path, nodes, users=True, tls=False)
    secrets = {path: path.read_text() for path in (tmp_path / "credentials").iterdir()}
    (second, *_) = write_cluster(tmp_path, nodes, users=True, tls=False)
    assert first == second
    assert first.routes == ("h2:6222", "h3:6222")
    assert secrets == {path: path.read_text() for path in (tmp_path / "credentials").iterdir()}


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
