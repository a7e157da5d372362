"""`ringrift certificate show` and `export`, `proof inclusion` and `consistency`; what verifies them
is in a module that needs no server."""

import asyncio
from pathlib import Path

from ringrift.cli.common import HERE, PositiveInt, Session, opened, show
from ringrift.errors import CommandError
from ringrift.log.topology import EVENTS
from ringrift.trust import admission, attesting, certificate
from ringrift.trust.certificate import Certificate
from ringrift.trust.proof import Proof


async def show_certificate(model: str, /, *, session: Session = HERE) -> int:
    """Show who attested the promotion of a network, and on what facts it rests.

    The exit status is 1 if something does not hold.

    Args:
        model: The first digits of its digest.
    """
    async with opened(session) as log:
        found = await attesting.certify(log, model)
        admitted = (await admission.standing(log)).admitted.values()
    keys = [certificate.Key(one.node, one.key, one.roles) for one in admitted]
    finding = certificate.verify(found, certificate.Keys(tuple(keys)))
    show(finding, session.json, "\n".join(finding.lines))
    return 0 if finding.valid else 1


async def export(model: str, file: Path, /, *, session: Session = HERE) -> None:
    """Write the certificate of the newest promotion of a network to a file.

    Args:
        model: The first digits of its digest.
        file: Where to write it.
    """
    async with opened(session) as log:
        found = await attesting.certify(log, model)
    await _write(found, len(found.attestations), file, session)


async def inclusion(
    event: str, file: Path, /, *, size: PositiveInt | None = None, session: Session = HERE
) -> None:
    """Write a proof that an event is in the log to a file.

    Args:
        event: Its position, such as EVENTS/17.
        file: Where to write it.
        size: Messages of the tree [default: those under the newest tree head].
    """
    seq = event.removeprefix(f"{EVENTS}/")
    if not seq.isdecimal():
        raise CommandError(f"{event!r} is no position such as {EVENTS}/17")
    async with opened(session) as log:
        found = await attesting.prove(log, seq=int(seq), size=size)
    await _write(found, len(found.statements), file, session)


async def consistency(
    old: PositiveInt, file: Path, /, *, size: PositiveInt | None = None, session: Session = HERE
) -> None:
    """Write a proof that the log only grew to a file.

    Args:
        old: Messages that it had at first.
        file: Where to write it.
        size: Messages that it had later [default: those under the newest tree head].
    """
    async with opened(session) as log:
        found = await attesting.prove(log, old=old, size=size)
    await _write(found, len(found.statements), file, session)


async def _write(found: Certificate | Proof, signed: int, file: Path, session: Session) -> None:
    await asyncio.to_thread(file.write_bytes, certificate.encoded(found))
    text = f"{file}: about {found.size:,} messages; signed statements: {signed}"
    show({"file": str(file), "size": found.size, "root": found.root}, session.json, text)
