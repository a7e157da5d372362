"""`ringrift certificate verify` and `proof verify`, which need no server, log or numerics."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ringrift.trust import certificate, proof

Needed = Annotated[bool, Parameter(negative="")]


def verify(file: Path, /, *, keys: Path, attested: Needed = False) -> int:
    """Check a certificate offline, and say in words what it proves.

    The exit status is 1 if something does not hold, or if no key that you trust vouches for it.

    Args:
        file: What `ringrift certificate export` wrote.
        keys: The public keys that you trust, as `ringrift node list --json` prints them.
        attested: Also demand that enough coordinators derived the decision again.
    """
    trusted = certificate.read_keys(keys.read_bytes())
    finding = certificate.verify(certificate.read(file.read_bytes()), trusted)
    print("\n".join(finding.lines))
    return 0 if finding.vouched and (finding.attested or not attested) else 1


def verify_proof(file: Path, /, *, keys: Path) -> int:
    """Check a proof offline, and say in words what it proves.

    The exit status is 1 if it does not hold, or if no key that you trust signed its root.

    Args:
        file: What `ringrift proof inclusion` or `ringrift proof consistency` wrote.
        keys: The public keys that you trust, as `ringrift node list --json` prints them.
    """
    trusted = certificate.read_keys(keys.read_bytes())
    vouched, lines = proof.verify(proof.read(file.read_bytes()), trusted)
    print("\n".join(lines))
    return 0 if vouched else 1
