"""What each role may do on the servers of a cluster, as a page of Markdown."""

import re
from collections.abc import Iterable

from ringrift.insight.process_tables import table
from ringrift.log.topology import STREAMS
from ringrift.runtime.processes import AUTHORS
from ringrift.server.roles import NAME, Role, reading, roles

KINDS = {
    "facts, dead letters": ("ringrift.",),
    "buckets, objects": ("$KV.", "$O."),
    "tickets": (),
    "streams, consumers": ("$JS.", "$SYS."),
    "services": ("$SRV", "fleet.", "_FLEET."),
}
_TICKETS = ("ringrift.work.", "$JS.API.CONSUMER.MSG.NEXT.WORK", "$JS.ACK.WORK", "$JS.ACK.*.*.WORK")
_STREAM = re.compile(rf"(CREATE|DELETE|NEXT|ACK)\.({'|'.join(each.name for each in STREAMS)})\b")
_INTRODUCTION = f"""# Rights

What a client may publish to, by the role for which its key was admitted. `{NAME}` is the name of
the node or person: there it may write as itself only. A node with several roles has the rights of
each. `*` stands for one word, `>` for all that follow. Every row is derived from the table of
processes; tests try what is not in it with raw clients, and with the `nats` tool.

"""
_MORE = """
**Reading.** All roles but `edge`, `system` and `scrubber` may also publish to:

{reading}

That is asking for what is stored, and consumers of their own on every stream but `WORK`. Such a
consumer cannot deliver to a subject of a fact, a bucket or an object, because no user may subscribe
to one.

**Message ids.** An author may give a message any id. One that is taken suppresses nothing: its
author finds the other message, and `MessageIdTaken` names it.

**Headers.** `Nats-Rollup` and `Nats-TTL`, which delete other messages or let one vanish, are
refused by every stream but the bucket of leases, from the operator too. A batch, an expected
sequence and an id are allowed.
"""


def page() -> str:
    """The rights of each role."""
    common = frozenset(reading())
    head = ("role", *KINDS, "listens to")
    rows = (_row(name, role, common) for name, role in roles(AUTHORS).items())
    forms = {_STREAM.sub(r"\1.<stream>", each) for each in common}
    return _INTRODUCTION + table(head, rows) + _MORE.format(reading=_listed(forms))


def _row(name: str, role: Role, common: frozenset[str]) -> list[str]:
    cells = dict.fromkeys(KINDS, "")
    if role.publish is None:
        cells = dict.fromkeys(KINDS, f"all but {_listed(role.deny)}" if role.deny else "all")
        heard = f"all but {_listed(role.deny_subscribe)}" if role.deny_subscribe else "all"
    else:
        heard = _listed(role.subscribe or ())
        own = [each for each in role.publish if each not in common]
        for kind in KINDS:
            cells[kind] = _listed(each for each in own if _kind(each) == kind)
    if role.system:
        name += " (account of the servers)"
    return [name, *cells.values(), heard]


def _kind(subject: str) -> str:
    if subject.startswith(_TICKETS):
        return "tickets"
    return next(kind for kind, starts in KINDS.items() if subject.startswith(starts))


def _listed(subjects: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in sorted(subjects))
