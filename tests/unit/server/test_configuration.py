"""The configuration files of nats-server."""

from __future__ import annotations

import json
from typing import Any

from ringrift.server.configuration import Voter, voter_conf
from ringrift.server.edge import edge_conf


def written(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_single_server_has_no_routes() -> None:
    found = written(voter_conf(Voter(store='/a "b"')))
    assert "cluster" not in found
    assert found["store"] == '/a "b"'
    assert found["http"] == "127.0.0.1:8222"


def test_a_server_without_a_monitor_port_has_no_monitor() -> None:
    assert "http" not in written(voter_conf(Voter(monitor_port=None)))


def test_a_voter_connects_to_the_others_with_their_password() -> None:
    voter = Voter(name="b", routes=("a:6222",), route_password="secret", advertise="b:4222")
    found = written(voter_conf(voter))
    assert found["client_advertise"] == "b:4222"
    assert found["cluster"]["routes"] == ["nats://route:secret@a:6222"]
    assert found["cluster"]["authorization"]["password"] == "secret"


def test_certificates_are_used_on_every_port() -> None:
    found = written(voter_conf(Voter(routes=("a:6222",), leaf_port=7422, tls=True)))
    for part in (found, found["cluster"], found["leafnodes"]):
        assert part["tls"]["ca_file"] == "./ops/tls/ca.pem"


def test_an_edge_keeps_games_off_its_link() -> None:
    text = edge_conf("gpu1", ["a:7422"], port=4222, tls=True)
    (remote,) = written(text)["leafnodes"]["remotes"]
    assert (remote["urls"], remote["credentials"]) == (["tls://a:7422"], "./edge.creds")
    assert remote["deny_exports"] == remote["deny_imports"] == ["ringrift.game.>"]
