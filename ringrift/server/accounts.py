"""The keys and tokens of a cluster: who may log in, decided without the servers.

    operator    signs the accounts; its key never leaves the folder
    account     `ringrift` has the streams, `SYS` is that of the servers. Each role is a scoped key
                of an account: what it signs has the role's rights, and nothing else
    user        a node or a person: a token, signed by the key of a role, for the user's own key

Servers know the operator's public key and keep the accounts' tokens. A changed account (a revoked
user, other rights) is sent to all of them over the servers' account, and those that were away get
it from the others; `ringrift.cluster.accounts` sends it.

DIR/nats/nsc/stores/ringrift/   tokens, as `XDG_DATA_HOME=DIR nats auth` and `nsc` keep them
DIR/nats/nsc/keys/keys/         seeds, mode 0600

`Accounts` reads and writes these files; the tokens in them are the truth."""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ringrift.errors import CommandError
from ringrift.log.identity import ACCOUNT, OPERATOR, USER, NodeKey
from ringrift.log.keyring import raw_key
from ringrift.log.login import NODE_TAG, claims_in
from ringrift.server.roles import HELPERS, Role, combined
from ringrift.server.tokens import VERSION, Claims, signed, verified

NAME, SYSTEM = "ringrift", "SYS"
RESOLVER_DIR = "./.ringrift/accounts"
SYNC_INTERVAL = "2s"
"""a server that was away asks another one for changed accounts this often; one digest each time"""
COORDINATOR = "coordinator"
_UNLIMITED = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1}
_EXPORTS = {"imports": -1, "exports": -1, "wildcards": True, "disallow_bearer": True}
_STORAGE = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
_USER_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_BEGIN, _END = "-----BEGIN {}-----\n", "\n------END {}------\n"


class Accounts:
    """The operator, accounts and users of the cluster whose files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._store = folder / "nats" / "nsc" / "stores" / NAME
        self._keys = folder / "nats" / "nsc" / "keys" / "keys"

    @property
    def exist(self) -> bool:
        """Whether the cluster knows keys, not passwords."""
        return (self._store / f"{NAME}.jwt").exists()

    def make(self, roles: Mapping[str, Role]) -> None:
        """Make operator and accounts, unless they exist, with a key for each role, and give the
        roles these rights."""
        if not self.exist:
            operator, system = NodeKey.new(OPERATOR), NodeKey.new(ACCOUNT)
            for key in (operator, system, ours := NodeKey.new(ACCOUNT)):
                self._keep(key)
            claims = {"system_account": system.key, "type": "operator", "version": VERSION}
            token = signed({"name": NAME, "sub": operator.key, "nats": claims}, operator)
            for name, key in ((NAME, ours), (SYSTEM, system)):
                self._write_account({"name": name, "sub": key.key, "nats": {}}, operator)
            _write(self._store / f"{NAME}.jwt", token)
            info = {"managed": False, "name": NAME, "kind": "operator", "version": "1"}
            _write(self._store / ".nsc", msgspec.json.encode(info).decode())
        self.grant(roles)

    def grant(self, roles: Mapping[str, Role]) -> bool:
        """Give all roles, and all combinations that nodes have, these rights; whether something
        changed."""
        changed = [self._grant(name, roles) for name in (NAME, SYSTEM)]
        return any(changed)

    def _grant(self, account: str, roles: Mapping[str, Role]) -> bool:
        claims = self.claims(account)
        nats = claims["nats"]
        known = {scope["role"]: scope for scope in nats.get("signing_keys") or ()}
        wanted = {name: one for name, one in roles.items() if one.system == (account == SYSTEM)}
        for name in known.keys() - wanted.keys():
            if {*name.split("_")} <= roles.keys():
                wanted[name] = combined(roles, name.split("_"))
        scopes = []
        for name, role in wanted.items():
            key = known[name]["key"] if name in known else self._keep(NodeKey.new(ACCOUNT))
            scope = {"kind": "user_scope", "key": key, "role": name, "template": role.template()}
            scopes.append(scope | {"description": ""})
        storage = {} if account == SYSTEM else _STORAGE
        fresh = nats | {
            "limits": _UNLIMITED | _EXPORTS | storage,
            "signing_keys": scopes,
            "default_permissions": {"pub": {}, "sub": {}},
            "type": "account",
            "version": VERSION,
        }
        if fresh == nats:
            return False
        self._write_account(claims | {"nats": fresh}, self._operator())
        return True

    def public_key(self, account: str) -> str:
        """The public key of an account, by which servers know it."""
        return str(self.claims(account)["sub"])

    def claims(self, account: str) -> Claims:
        """The claims of an account. Raises CommandError."""
        return _claims(self._account_path(account))

    def tokens(self) -> dict[str, str]:
        """The token of each account, by its public key."""
        paths = map(self._account_path, (NAME, SYSTEM))
        return {str(_claims(path)["sub"]): path.read_text().strip() for path in paths}

    def configuration(self) -> dict[str, Any]:
        """The settings of a server that lets in who has a token."""
        return {
            "operator": (self._store / f"{NAME}.jwt").read_text().strip(),
            "system_account": self.public_key(SYSTEM),
            "resolver": {
                "type": "full",
                "dir": RESOLVER_DIR,
                "allow_delete": False,
                "interval": SYNC_INTERVAL,
            },
            "resolver_preload": self.tokens(),
        }

    def person(self, role: str) -> str:
        """The credentials of a person: of a new key with a role, seed included."""
        key = NodeKey.new(USER)
        return _credentials([self._token(role, role, key.key)], key.seed)

    def edge(self, name: str, key: str) -> str:
        """The credentials of an edge's server, without the seed of its key (`completed` adds it).
        Raises CommandError for a name that another key has, and for what is no key."""
        try:
            raw_key(key)
        except ValueError as error:
            raise CommandError(f"{error}: `ringrift node key --make` prints one there") from error
        self._refuse_another(name, key)
        return _credentials([self._token("edge", name, key)])

    def node(self, name: str, key: str, roles: Sequence[str], rights: Mapping[str, Role]) -> str:
        """The credentials of a node, without a seed: its own key has the rights of all `roles`.

        Raises CommandError for a name that another key or a role has."""
        if not _USER_NAME.fullmatch(name) or name in rights:
            raise CommandError(f"{name!r} is no name for a node that logs in: choose another")
        self._refuse_another(name, key)
        role = "_".join(sorted({*roles}))
        if role not in rights:
            known = {scope["role"] for scope in self.claims(NAME)["nats"]["signing_keys"]}
            if role not in known:
                self._add(role, combined(rights, sorted({*roles})))
        found = [self._token(role, name, key, NODE_TAG)]
        if COORDINATOR in roles:
            found += [self._token(helper, name, key, helper) for helper in HELPERS]
        return _credentials(found)

    def _refuse_another(self, name: str, key: str) -> None:
        path = self._user_path(NAME, name)
        if path.exists() and _claims(path)["sub"] != key:
            remedy = f"`ringrift node revoke {name.removeprefix('edge-')}` comes first"
            raise CommandError(f"{name} logs in with the key {_claims(path)['sub']}: {remedy}")

    def _add(self, role: str, rights: Role) -> None:
        claims = self.claims(NAME)
        key = self._keep(NodeKey.new(ACCOUNT))
        scope = {"kind": "user_scope", "key": key, "role": role, "template": rights.template()}
        claims["nats"]["signing_keys"].append(scope | {"description": ""})
        self._write_account(claims, self._operator())

    def knows(self, name: str) -> bool:
        """Whether a user of this name may log in."""
        return self._user_path(NAME, name).exists() or self._user_path(SYSTEM, name).exists()

    def revoke(self, names: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
        """Let the users of these names, and their edges, and those with these keys log in no more;
        return the key of each name."""
        ours = {path: _claims(path) for path in (self._store / "accounts").glob("*/users/*.jwt")}
        wanted = {*names, *(f"edge-{name}" for name in names)}
        gone = {
            path: one for path, one in ours.items() if path.stem in wanted or one["sub"] in keys
        }
        moment = int(time.time())
        revoked = {*keys, *(str(one["sub"]) for one in gone.values())}
        for account in (NAME, SYSTEM):
            claims = self.claims(account)
            known = claims["nats"].get("revocations") or {}
            claims["nats"]["revocations"] = known | dict.fromkeys(sorted(revoked), moment)
            self._write_account(claims, self._operator())
        for path in gone:
            path.unlink()
        return {path.stem: str(one["sub"]) for path, one in gone.items()}

    def _token(self, role: str, name: str, key: str, *tags: str) -> str:
        """A token for a key, signed by the key of a role."""
        for account in (NAME, SYSTEM):
            claims = self.claims(account)
            for scope in claims["nats"]["signing_keys"]:
                if scope["role"] == role:
                    revoked = (claims["nats"].get("revocations") or {}).get(key, 0)
                    nats = {"issuer_account": claims["sub"], "type": "user", "version": VERSION}
                    user = {"name": name, "sub": key, "nats": nats | {"tags": list(tags)}}
                    token = signed(user, self._read(scope["key"]), after=revoked)
                    if tags != ("repairer",):  # beside the node's own in the same account
                        _write(self._user_path(account, name), token)
                    return token
        raise CommandError(f"there is no role {role!r} in the accounts of the cluster")

    def _operator(self) -> NodeKey:
        return self._read(str(_claims(self._store / f"{NAME}.jwt")["sub"]))

    def _write_account(self, claims: Claims, operator: NodeKey) -> None:
        after = int(claims.get("iat", 0))
        _write(self._account_path(claims["name"]), signed(claims, operator, after=after))

    def _account_path(self, account: str) -> Path:
        return self._store / "accounts" / account / f"{account}.jwt"

    def _user_path(self, account: str, name: str) -> Path:
        return self._store / "accounts" / account / "users" / f"{name}.jwt"

    def _keep(self, key: NodeKey) -> str:
        _write(self._key_path(key.key), key.seed)
        return key.key

    def _read(self, key: str) -> NodeKey:
        path = self._key_path(key)
        try:
            return NodeKey.of(path.read_bytes().strip())
        except (OSError, ValueError) as error:
            raise CommandError(f"{path} is needed and cannot be read: {error}") from error

    def _key_path(self, key: str) -> Path:
        return self._keys / key[0] / key[1:3] / f"{key}.nk"


def _claims(path: Path) -> Claims:
    try:
        return verified(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be used: {error}") from error


def _credentials(tokens: Sequence[str], seed: str = "") -> str:
    """A file of credentials. The first token comes first, then the seed, as the tools expect."""
    parts = [_part("NATS USER JWT", token) for token in tokens]
    if seed:
        parts.insert(1, _part("USER NKEY SEED", seed))
    return "\n".join(parts)


def completed(credentials: str, key: NodeKey) -> str:
    """Credentials with the seed of the key that they are for, as a server reads them. Raises
    CommandError for those of another key."""
    _, _, text = credentials.partition(_BEGIN.format("NATS USER JWT"))
    token = text.split(maxsplit=1)[0] if text.strip() else ""
    try:
        owner = claims_in(token)["sub"]
    except (KeyError, ValueError) as error:
        remedy = "give the file that `ringrift cluster edge` wrote"
        raise CommandError(f"these are no credentials of an edge: {remedy}") from error
    if owner != key.key:
        raise CommandError(f"these credentials are for the key {owner}, not for {key.key}")
    return _credentials([token], key.seed)


def _part(title: str, text: str) -> str:
    return f"{_BEGIN.format(title)}{text}{_END.format(title)}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_secret(path, f"{text}\n")


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
