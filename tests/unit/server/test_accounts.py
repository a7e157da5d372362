"""The operator's keys and what they sign: accounts, roles, users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ringrift.errors import CommandError
from ringrift.log.identity import ACCOUNT, NodeKey
from ringrift.log.login import Login, read_login
from ringrift.runtime.processes import AUTHORS
from ringrift.server.accounts import NAME, SYSTEM, Accounts, completed
from ringrift.server.roles import roles
from ringrift.server.tokens import signed, verified

ROLES = roles(AUTHORS)
KEY = NodeKey.new().key


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    found = Accounts(tmp_path)
    assert not found.exist
    found.make(ROLES)
    assert found.exist
    return found


def scope_of(accounts: Accounts, token: str) -> dict[str, Any]:
    """The scope of the key that signed a token."""
    issuer = verified(token)["iss"]
    scopes = [
        *accounts.claims(NAME)["nats"]["signing_keys"],
        *accounts.claims(SYSTEM)["nats"]["signing_keys"],
    ]
    return next(scope for scope in scopes if scope["key"] == issuer)


def login(folder: Path, text: str) -> Login:
    path = folder / "x.creds"
    path.write_text(text)
    return read_login(path)


def test_a_changed_token_is_refused() -> None:
    token = signed({"name": "x", "sub": KEY, "nats": {"type": "user"}}, NodeKey.new(ACCOUNT))
    assert verified(token)["sub"] == KEY
    head, body, signature = token.split(".")
    other = signed({"name": "y", "sub": KEY, "nats": {"type": "user"}}, NodeKey.new(ACCOUNT))
    for bad in (f"{head}.{other.split('.')[1]}.{signature}", f"{head}.{body}.AAAA", "", "a.b.c"):
        with pytest.raises(ValueError, match="token"):
            verified(bad)


def test_a_token_of_a_role_has_no_rights_of_its_own(accounts: Accounts, tmp_path: Path) -> None:
    """Its rights are those of the key that signed it, which the servers know."""
    found = login(tmp_path, accounts.node("gpu1", KEY, ["worker"], ROLES))
    claims = verified(found.token)
    assert (found.user, found.seed, claims["sub"]) == ("gpu1", "", KEY)
    assert claims["nats"].keys() == {"issuer_account", "type", "version", "tags"}
    scope = scope_of(accounts, found.token)
    assert scope["role"] == "worker"
    assert scope["template"]["pub"]["allow"] == list(ROLES["worker"].publish or ())


def test_several_roles_have_a_key_of_their_own(accounts: Accounts, tmp_path: Path) -> None:
    found = login(tmp_path, accounts.node("gpu1", KEY, ["worker", "evaluator"], ROLES))
    assert scope_of(accounts, found.token)["role"] == "evaluator_worker"
    assert not accounts.grant(ROLES), "nothing has changed"
    fewer = {**ROLES, "worker": replace(ROLES["worker"], publish=())}
    assert accounts.grant(fewer)
    template = scope_of(accounts, found.token)["template"]
    assert template["pub"]["allow"] == sorted(ROLES["evaluator"].publish or ())


def test_a_coordinator_may_ask_the_servers_and_repair(accounts: Accounts) -> None:
    text = accounts.node("c1", KEY, ["coordinator"], ROLES)
    tokens = [part.split("\n")[0] for part in text.split("BEGIN NATS USER JWT-----\n")[1:]]
    assert [scope_of(accounts, token)["role"] for token in tokens] == [
        "coordinator",
        "scrubber",
        "repairer",
    ]
    assert {verified(token)["sub"] for token in tokens} == {KEY}


@pytest.mark.parametrize("name", ["operator", "scrubber", "worker", "A", "a.b", "a b", ">"])
def test_a_node_has_no_name_of_a_role_and_no_odd_one(accounts: Accounts, name: str) -> None:
    with pytest.raises(CommandError, match="is no name for a node that logs in"):
        accounts.node(name, KEY, ["worker"], ROLES)


def test_a_name_belongs_to_one_key_until_it_is_revoked(accounts: Accounts, tmp_path: Path) -> None:
    accounts.node("gpu1", KEY, ["worker"], ROLES)
    accounts.node("gpu1", KEY, ["evaluator"], ROLES)
    other = NodeKey.new().key
    with pytest.raises(CommandError, match="`ringrift node revoke gpu1` comes first"):
        accounts.node("gpu1", other, ["worker"], ROLES)
    assert accounts.revoke(["gpu1"], ()) == {"gpu1": KEY}
    for account in (NAME, SYSTEM):
        assert KEY in accounts.claims(account)["nats"]["revocations"]
    accounts.node("gpu1", other, ["worker"], ROLES)
    again = verified(login(tmp_path, accounts.node("gpu2", KEY, ["worker"], ROLES)).token)
    assert again["iat"] > accounts.claims(NAME)["nats"]["revocations"][KEY]


def test_the_seed_of_an_edge_is_added_on_its_node(accounts: Accounts, tmp_path: Path) -> None:
    own = NodeKey.new()
    text = accounts.edge("edge-gpu1", own.key)
    assert "SEED" not in text
    whole = completed(text, own)
    assert completed(whole, own) == whole
    found = login(tmp_path, whole)
    assert (found.user, found.seed) == ("edge-gpu1", own.seed)
    assert scope_of(accounts, found.token)["role"] == "edge"
    assert own.seed not in [path.read_text().strip() for path in tmp_path.rglob("*.nk")]
    with pytest.raises(CommandError, match="not for"):
        completed(text, NodeKey.new())
    with pytest.raises(CommandError, match="no credentials"):
        completed("", own)
    with pytest.raises(CommandError, match="ringrift node revoke gpu1` comes first"):
        accounts.edge("edge-gpu1", KEY)
    with pytest.raises(CommandError, match="ringrift node key --make"):
        accounts.edge("edge-gpu2", "no key")


def test_a_changed_account_is_newer_than_the_one_before(accounts: Accounts) -> None:
    """Servers keep the newer one, by the second."""
    dates = [accounts.claims(NAME)["iat"]]
    for number in range(3):
        accounts.revoke([], [NodeKey.new().key for _ in range(number + 1)])
        dates.append(accounts.claims(NAME)["iat"])
    assert dates == sorted({*dates})
    assert len(accounts.claims(NAME)["nats"]["revocations"]) == 6


def test_a_missing_key_is_named(accounts: Accounts, tmp_path: Path) -> None:
    for path in tmp_path.rglob("O*.nk"):
        path.unlink()
    with pytest.raises(CommandError, match=r"O[A-Z0-9]+\.nk is needed"):
        accounts.revoke(["gpu1"], [])
