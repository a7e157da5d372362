"""Certificates of promotions: what was decided, on which facts, and who derived it again.

A certificate is a JSON file that anyone can check without the log, with the public keys of the
coordinators (`docs/certificates.md`). This module needs no network, no server and no numerics."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.events.merkle import includes, leaf_hash
from ringrift.events.sealing import seal_of
from ringrift.log.keyring import holds

FORMAT = "ringrift.certificate.v1"
ROLLBACK = "ModelRolledBack"
COORDINATORS_MIN = 4
"""of fewer coordinators none may be a liar, so nothing is attested"""


class Stored(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of `EVENTS`: its sequence, time of storage, subject, body, and the hexadecimal
    hashes that prove it in the tree (none for attestations, which come later)."""

    seq: int
    time_ns: str
    """a text, because readers of JSON with doubles hold no such number exactly"""
    subject: str
    body: str
    proof: tuple[str, ...] = ()

    @property
    def leaf(self) -> bytes:
        """The leaf of the Merkle tree."""
        return leaf_hash(f"{self.time_ns} {self.subject}\n{self.body}".encode())

    @property
    def event(self) -> dict[str, Any]:
        """The event as plain values. Raises ValueError."""
        found = json.loads(self.body)
        if not isinstance(found, dict) or not isinstance(found.get("data"), dict):
            raise ValueError("no event")
        return found

    @property
    def author(self) -> str:
        """The key that signed it, empty if none did."""
        seal = seal_of(self.body.encode())
        return seal.author if seal is not None and holds(seal) else ""


class Certificate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A promotion: the last of `events`, which are all in the tree of the first `size` messages
    with this root, and what coordinators say about it."""

    format: str
    config: str
    model: str
    size: int
    root: str
    events: tuple[Stored, ...]
    attestations: tuple[Stored, ...] = ()


class Key(Struct, frozen=True):
    """A public key, as `ringrift node list --json` prints it."""

    node: str
    key: str
    roles: tuple[str, ...]


class Keys(Struct, frozen=True):
    """The keys that the reader of a certificate trusts."""

    nodes: tuple[Key, ...]


class Finding(Struct, frozen=True, kw_only=True):
    """What a certificate proves, in words."""

    valid: bool
    """Whether everything in it is as it says."""
    attested: bool
    """Whether enough coordinators derived the decision again."""
    vouched: bool
    """Whether a trusted key signed the promotion or attests it; otherwise anybody may have written
    the certificate."""
    lines: tuple[str, ...]


def read(data: bytes) -> Certificate:
    """Return a certificate. Raises CommandError."""
    try:
        found = msgspec.json.decode(data, type=Certificate)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"no certificate: {error}") from error
    if not found.events:
        raise CommandError("no certificate: it has no events")
    if found.format != FORMAT:
        raise CommandError(f"a certificate of format {found.format!r}; this program reads {FORMAT}")
    return found


def read_keys(data: bytes) -> Keys:
    """Return the keys in a file. Raises CommandError."""
    try:
        return msgspec.json.decode(data, type=Keys)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        remedy = "`ringrift node list --json` writes one"
        raise CommandError(f"no file of keys: {error}; {remedy}") from error


def verify(certificate: Certificate, keys: Keys) -> Finding:
    """Check everything that a certificate says."""
    try:
        problems = list(_problems(certificate))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        problems = [f"it cannot be read: {type(error).__name__}: {error}"]
    if problems:
        lines = [f"fails: {it}" for it in problems]
        return Finding(valid=False, attested=False, vouched=False, lines=tuple(lines))
    coordinators = {one.key: one.node for one in keys.nodes if "coordinator" in one.roles}
    signed = {coordinators[key] for key in _signers(certificate) if key in coordinators}
    nodes = set(coordinators.values())
    needed = signatures_needed(len(nodes))
    attested = len(nodes) >= COORDINATORS_MIN and len(signed) >= needed
    vouched = bool(signed) or certificate.events[-1].author in {one.key for one in keys.nodes}
    lines = [*_in_words(certificate, keys), _attestation(signed, nodes, needed, attested)]
    if not vouched:
        lines.append("unproven: no key that you trust signed the promotion or attests it")
    return Finding(valid=True, attested=attested, vouched=vouched, lines=tuple(lines))


def signatures_needed(coordinators: int) -> int:
    """2f + 1 of n >= 3f + 1 coordinators (Castro and Liskov, OSDI 1999): if f of them lie, f + 1
    honest ones agree; if f are silent, the others suffice."""
    return 2 * ((max(coordinators, COORDINATORS_MIN) - 1) // 3) + 1


def _problems(certificate: Certificate) -> Iterator[str]:
    root, size = bytes.fromhex(certificate.root), certificate.size
    for item in certificate.events:
        path = [bytes.fromhex(text) for text in item.proof]
        if not includes(item.leaf, item.seq - 1, size, path, root):
            yield f"EVENTS/{item.seq} is not in the tree of {size} messages with root {root.hex()}"
        if item.event["subject"] != item.subject:
            yield f"EVENTS/{item.seq} names another subject"
    last = certificate.events[-1]
    promoted = {"config": certificate.config, "model": certificate.model}
    back = {"config": certificate.config, "current": certificate.model}
    is_either = _is(last.event, "ModelPromoted", promoted) or _is(last.event, ROLLBACK, back)
    if last.seq != size or not is_either:
        yield f"the last event is not the promotion of {certificate.model} in {certificate.config}"
    evidence, scored = last.event["data"].get("evidence"), _scores(certificate)
    games = sum(int(score["games"]) for score in scored)
    # more, if some were retracted or were against another incumbent
    if evidence is not None and games < evidence["games"]:
        yield f"the promotion counts {evidence['games']} games, its scores have {games}"
    missing = set((evidence or {}).get("evaluators", ())) - {score["node"] for score in scored}
    if missing:
        yield f"the promotion counts scores of {', '.join(sorted(missing))}, which are missing"


def _is(event: Mapping[str, Any], kind: str, fields: Mapping[str, Any]) -> bool:
    data = event["data"]
    return str(event["type"]).startswith(f"ringrift.{kind}.v") and all(
        data.get(name) == value for name, value in fields.items()
    )


def _scores(certificate: Certificate) -> list[dict[str, Any]]:
    """The scores that the decision counts: against what the candidate had to beat."""
    promotion = certificate.events[-1].event["data"]
    if promotion.get("current"):  # a rollback is decided by ratings
        return []
    purpose = "promotion" if promotion.get("previous") else "random"
    named = {"candidate_model": certificate.model, "purpose": purpose}
    events = [item.event for item in certificate.events]
    return [event["data"] for event in events if _is(event, "EvaluationScored", named)]


def _signers(certificate: Certificate) -> set[str]:
    """The keys that signed the statement of this certificate."""
    statement = {
        "config": certificate.config,
        "model": certificate.model,
        "promotion": certificate.size,
        "root": certificate.root,
    }
    said = [it for it in certificate.attestations if _is(it.event, "PromotionAttested", statement)]
    return {item.author for item in said} - {""}


def _in_words(certificate: Certificate, keys: Keys) -> Iterator[str]:
    promotion = certificate.events[-1].event
    why, model = promotion["data"]["why"], certificate.model[:12]
    verb = "rolls back to" if _is(promotion, ROLLBACK, {}) else "promotes"
    yield f"EVENTS/{certificate.size} {verb} network {model} in {certificate.config}: {why}"
    others, root = len(certificate.events) - 1, certificate.root[:16]
    tree = f"the tree of the first {certificate.size:,} messages, root {root}"
    yield f"it and {others} facts that led to it are in {tree}"
    for score in _scores(certificate):
        what = f"{score['candidate']} won {score['wins']:g} of {score['games']} games"
        yield f"recorded: {what} against {score['opponent']} (ticket {score['ticket']})"
    names = {one.key: one.node for one in keys.nodes}
    yield from _split(certificate, names)
    authors = {
        names.get(item.author, "(a key that you do not trust)") for item in certificate.events
    }
    yield f"these facts were signed by: {', '.join(sorted(authors))}"
    yield "not proven here: that the games were played as recorded (`ringrift game replay`)"


def _split(certificate: Certificate, names: Mapping[str, str]) -> Iterator[str]:
    """How many evaluators cannot have decided it, of those who signed their scores themselves."""
    evidence = certificate.events[-1].event["data"].get("evidence")
    if evidence is None:
        return
    nodes, most = evidence.get("evaluators", ()), evidence.get("liars_max", 0)
    if not most:
        yield "evaluation unattested: a single evaluator could decide it"
        return
    scores = [item for item in certificate.events if _is(item.event, "EvaluationScored", {})]
    authors = [(names.get(item.author), item.event["data"]["node"]) for item in scores]
    signed = {node for author, node in authors if author == node} & set(nodes)
    who = f"{len(nodes)} evaluators, {len(signed)} of whom signed as themselves"
    yield f"evaluation split: the decision is the same without the scores of any {most} of {who}"


def _attestation(signed: set[str], nodes: set[str], needed: int, attested: bool) -> str:
    who = ", ".join(sorted(signed)) or "none"
    count = f"{len(signed)} of {len(nodes)} coordinators ({who})"
    if attested:
        return f"attested: {count} derived the decision again and signed the root; {needed} suffice"
    least = f"a certificate needs {needed} of at least {COORDINATORS_MIN}"
    return f"unattested: {count} derived the decision again; {least}"


def encoded(certificate: Struct) -> bytes:
    """The bytes of a certificate, or of a proof."""
    return msgspec.json.format(msgspec.json.encode(certificate), indent=1) + b"\n"
