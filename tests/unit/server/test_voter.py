"""What identifies a voter, and the configurations with which its server would delete streams."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from ringrift.cluster.files import parse_nodes, write_cluster
from ringrift.errors import CommandError
from ringrift.log.errors import ServerError
from ringrift.server import configuration
from ringrift.server.accounts import Accounts
from ringrift.server.conf_text import read_conf
from ringrift.server.configuration import VOTER_FILE
from ringrift.server.voter import (
    STAMP_FILE,
    check,
    configured,
    note_disk,
    peer_id,
    read_made,
    read_stamp,
)

NODES = "a=10.0.0.1,b=10.0.0.2,c=10.0.0.3"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The directory of a voter whose server has run."""
    return ran(tmp_path, users=False)


def ran(folder: Path, *, users: bool) -> Path:
    """The directory of a voter whose server has run, with keys or without users."""
    write_cluster(folder, parse_nodes(NODES), users=users, tls=False)
    home = folder / "voters" / "a"
    identity, store = check(home)
    (store / "jetstream" / identity.account / "streams" / "EVENTS").mkdir(parents=True)
    (store / "jetstream" / identity.system_account / "_js_" / "_meta_").mkdir(parents=True)
    return home


def change(home: Path, old: str, new: str, file: str = VOTER_FILE) -> None:
    text = (home / file).read_text()
    assert old in text
    (home / file).write_text(text.replace(old, new))


def test_a_voter_may_start_again(home: Path) -> None:
    identity, _ = check(home)
    assert (identity.name, identity.clustered, identity.account) == ("a", True, "$G")
    assert identity.system_account == "$SYS"


def test_another_name_is_refused(home: Path) -> None:
    change(home, '"server_name": "a"', '"server_name": "a2"')
    with pytest.raises(ServerError, match=r"written by 'a'.*deletes every stream.*1 stream,"):
        check(home)


def test_another_system_account_is_refused(home: Path) -> None:
    change(home, "max_payload", "system_account: SYS\nmax_payload", "nats.conf")
    with pytest.raises(ServerError, match=r"'SYS' and was '\$SYS': .* delete every stream"):
        check(home)


def test_users_in_another_account_are_refused(home: Path) -> None:
    users = '{"accounts": {"PLAY": {"jetstream": "enabled", "users": [{"user": "x"}]}}}'
    (home / "ops" / "users.conf").write_text(users)
    with pytest.raises(ServerError, match="account 'PLAY', and the streams in"):
        check(home)


def test_an_operator_in_place_of_users_is_refused(home: Path) -> None:
    (home / "ops" / "users.conf").write_text("operator: ./op.jwt\nsystem_account: ADSYS")
    with pytest.raises(ServerError, match="system account"):
        check(home)


def test_with_keys_the_accounts_are_known_by_their_keys(tmp_path: Path) -> None:
    home, accounts = ran(tmp_path, users=True), Accounts(tmp_path)
    identity, store = check(home)
    assert identity.account == accounts.public_key("ringrift")
    assert identity.system_account == accounts.public_key("SYS")
    (store / STAMP_FILE).unlink()
    assert check(home)[0] == identity, "read from the store itself"


@pytest.mark.parametrize("part", ["SYS", "ringrift"])
def test_the_accounts_of_another_operator_are_refused(tmp_path: Path, part: str) -> None:
    """Also one of them alone: with another system account all voters delete their streams, and in
    another account of the streams nobody sees any."""
    home = ran(tmp_path / "one", users=True)
    ran(tmp_path / "two", users=True)
    ours, theirs = (Accounts(tmp_path / name).public_key(part) for name in ("one", "two"))
    change(home, ours, theirs, "ops/users.conf")
    said = "delete every stream" if part == "SYS" else "would see no streams"
    with pytest.raises(ServerError, match=f"{theirs}.*{ours}.*{said}"):
        check(home)
    other = tmp_path / "two" / "voters" / "a" / "ops" / "users.conf"
    (home / "ops" / "users.conf").write_bytes(other.read_bytes())
    with pytest.raises(ServerError, match="delete every stream"):
        check(home)


def test_a_store_of_a_single_server_is_refused_for_a_voter(tmp_path: Path) -> None:
    write_cluster(tmp_path / "one", parse_nodes("a=10.0.0.1"), users=False, tls=False)
    write_cluster(tmp_path / "three", parse_nodes(NODES), users=False, tls=False)
    single, voter = (tmp_path / kind / "voters" / "a" for kind in ("one", "three"))
    _, store = check(single)
    _, target = configured(voter)
    target.parent.mkdir()
    store.rename(target)
    with pytest.raises(ServerError, match=r"a cluster deletes.*cluster grow --from"):
        check(voter)


def test_a_store_of_a_voter_is_refused_for_a_single_server(home: Path) -> None:
    text = (home / VOTER_FILE).read_text()
    (home / VOTER_FILE).write_text(text.replace('"cluster"', '"was"'))
    with pytest.raises(ServerError, match="cluster rescue"):
        check(home)


@pytest.mark.parametrize("line", ["", "jetstream_domain"])
def test_another_cluster_name_or_a_domain_change_nothing(home: Path, line: str) -> None:
    change(home, '"name": "ringrift"', '"name": "other"')
    if line:
        change(home, "store_dir", "domain: hub\n  store_dir", "nats.conf")
    check(home)


def test_an_empty_store_is_refused_unless_it_is_new(home: Path) -> None:
    _, store = configured(home)
    store.rename(store.with_name("lost"))
    with pytest.raises(ServerError, match=r"is empty, but voter a was started before.*--empty"):
        check(home)
    check(home, empty=True)
    check(home)


def test_a_store_of_another_cluster_is_refused(home: Path, tmp_path: Path) -> None:
    write_cluster(tmp_path / "other", parse_nodes(NODES), users=False, tls=False)
    other = tmp_path / "other" / "voters" / "a"
    _, store = check(other)
    store.rename(store.with_name("away"))
    configured(home)[1].rename(store)
    with pytest.raises(ServerError, match="would join another log"):
        check(other)


def test_a_store_without_a_stamp_is_known_by_what_is_in_it(home: Path) -> None:
    _, store = configured(home)
    (store / "ringrift.json").unlink()
    peers = store / "jetstream" / "$SYS" / "_js_" / "_meta_" / "peers.idx"
    peers.write_bytes(b"".join(peer_id(name).encode() for name in "xyz"))
    with pytest.raises(ServerError, match=r"written by 'another voter'"):
        check(home)
    peers.write_bytes(b"".join(peer_id(name).encode() for name in "abc"))
    check(home)
    assert read_stamp(store) is not None


def test_files_are_not_written_over_those_of_another_kind_of_server(tmp_path: Path) -> None:
    write_cluster(tmp_path, parse_nodes("a=10.0.0.1"), users=False, tls=False)
    with pytest.raises(CommandError, match=r"a single server, whose streams.*cluster grow"):
        write_cluster(tmp_path, parse_nodes(NODES), users=False, tls=False)


def test_voters_written_again_stay_what_they_are(home: Path) -> None:
    before = read_made(home)
    five = parse_nodes(f"{NODES},d=10.0.0.4,e=10.0.0.5")
    write_cluster(home.parents[1], five, users=True, tls=False)
    added = read_made(home.parent / "d")
    assert before == read_made(home)
    assert before
    assert added
    assert (before.cluster, before.new, added.new) == (added.cluster, False, True)


def test_the_configuration_language_is_read(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text('// more\n"port" = 4, deep { list: ["a:1" b, c] }')
    (tmp_path / "c.conf").write_text(
        'include ./more.conf # text\nName: $who; who = \'x y\'\nurl: nats://h:1\nmap {k v\nq "\\""}'
    )
    assert read_conf(tmp_path / "c.conf") == {
        "port": "4",
        "deep": {"list": ["a:1", "b", "c"]},
        "name": "x y",
        "who": "x y",
        "url": "nats://h:1",
        "map": {"k": "v", "q": '"'},
    }
    (tmp_path / "bad.conf").write_text("a: [1, 2")
    with pytest.raises(ServerError, match=r"bad.conf cannot be read: line 1"):
        read_conf(tmp_path / "bad.conf")


def test_the_use_of_the_disk_is_noted_in_hundredths(home: Path) -> None:
    assert note_disk(home, 0.9678)
    assert read_conf(home / VOTER_FILE)["server_metadata"]["disk_used"] == "0.96"
    assert not note_disk(home, 0.961)
    assert (home / VOTER_FILE).stat().st_mode & 0o777 == 0o600
    (home / VOTER_FILE).write_text("server_name: a\n")
    with pytest.raises(ServerError, match="how full the disk is cannot be noted"):
        note_disk(home, 0.5)


def test_the_limit_of_all_streams_follows_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cluster(tmp_path, parse_nodes(NODES), users=True, tls=False)
    home = tmp_path / "voters" / "a"
    assert "max_file_store: 1TB" in (home / "nats.conf").read_text()
    for size, limit in ((4 * 10**12, 392 * 10**10), (10**11, 98 * 10**9), (64 * 2**20, 2**30)):
        monkeypatch.setattr(configuration, "disk_usage", lambda _, size=size: Disk(size))
        check(home)
        assert read_conf(home / "nats.conf")["jetstream"]["max_file_store"] == str(limit)


class Disk(NamedTuple):
    total: int


def test_check_sets_damaged_snapshots_aside(home: Path) -> None:
    said: list[str] = []
    check(home, report=said.append)
    assert said == []
    (group,) = (home / ".ringrift" / "nats" / "jetstream").glob("*/_js_")
    snapshot = group / "S-R3F-abc" / "snapshots" / "snap.1.2"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_bytes(bytes(100))
    check(home, report=said.append)
    assert len(said) == 1
    assert not snapshot.exists()
