"""`ringrift certificate verify`, which needs no server, no log and no numerics."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ringrift.trust import certificate

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
