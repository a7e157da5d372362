"""`ringrift certificate show` and `export`; `verify` is in a module that needs no server."""

import asyncio
from pathlib import Path

from ringrift.cli.common import HERE, Session, opened, show
from ringrift.trust import admission, attesting, certificate


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
    await asyncio.to_thread(file.write_bytes, certificate.encoded(found))
    text = f"{file}: {len(found.events)} facts, {len(found.attestations)} attestations"
    show({"file": str(file), "size": found.size, "root": found.root}, session.json, text)
