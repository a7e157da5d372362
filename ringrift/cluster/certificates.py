"""A private certificate authority and the certificates of servers, made by the `openssl` command,
version 3 or newer.

`openssl` is installed wherever servers run; a library would be a dependency for one use a year."""

import shutil
import subprocess
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ringrift.errors import CommandError

AUTHORITY_DAYS = 3650
SERVER_DAYS = 825
"""Apple's clients accept no certificate that is valid for longer"""
OPENSSL_SECONDS_MAX = 60.0
_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc"
_AUTHORITY = (
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
)
_SERVER = (
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "extendedKeyUsage=serverAuth,clientAuth",
    "subjectKeyIdentifier=hash",
    "authorityKeyIdentifier=keyid",
)
"""X.509 extensions, as `-addext` of `openssl req` takes them"""


def make_authority(folder: Path) -> None:
    """Write `ca.pem` and `ca.key` to `folder` unless they exist. Raises CommandError."""
    if not (folder / "ca.key").exists():
        _certify(folder, "ca", "RingRift cluster authority", AUTHORITY_DAYS, *_AUTHORITY)


def make_server(authority: Path, folder: Path, name: str, addresses: Sequence[str]) -> None:
    """Write `ca.pem`, `server.pem` and `server.key` to `folder` for a server that is reached at
    `addresses`. Raises CommandError."""
    reached = dict.fromkeys((*addresses, "localhost", "127.0.0.1"))
    names = f"subjectAltName={','.join(map(_alternative, reached))}"
    _certify(folder, "server", name, SERVER_DAYS, *_SERVER, names, signer=authority)
    shutil.copyfile(authority / "ca.pem", folder / "ca.pem")


def _alternative(address: str) -> str:
    try:
        return f"IP:{ip_address(address.strip('[]'))}"
    except ValueError:
        return f"DNS:{address}"


def _certify(
    folder: Path, stem: str, name: str, days: int, *extensions: str, signer: Path | None = None
) -> None:
    """Write `stem`.key, a P-256 key that only its owner can read at any time, and its certificate
    `stem`.pem, signed by the authority in the folder `signer` or by itself. Raises CommandError."""
    found = shutil.which("openssl")
    if found is None:
        raise CommandError("there is no openssl command on PATH: install the package openssl")
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / f"{stem}.key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    # the machine's own configuration would add extensions
    command = [found, *["req", "-x509", "-sha256", "-config", "/dev/null"], *_NEW_KEY.split()]
    command += ["-subj", f"/CN={name}", "-days", str(days)]
    command += ["-keyout", str(key), "-out", str(folder / f"{stem}.pem")]
    if signer:
        command += ["-CA", str(signer / "ca.pem"), "-CAkey", str(signer / "ca.key")]
    for extension in extensions:
        command += ["-addext", extension]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=OPENSSL_SECONDS_MAX
        )
    except (OSError, subprocess.SubprocessError) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip()
        raise CommandError(f"openssl req failed: {output.rpartition(chr(10))[2]}") from error
