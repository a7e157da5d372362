"""A private certificate authority and the certificates of servers, made by the `openssl` command.

`openssl` is installed wherever servers run; a library would be a dependency for one use a year."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ringrift.errors import CommandError

AUTHORITY_DAYS = 3650
SERVER_DAYS = 825
"""Apple's clients accept no certificate that is valid for longer"""
OPENSSL_SECONDS_MAX = 60.0
_REQUEST = "[req]\nprompt = no\ndistinguished_name = name\n[name]\nCN = {name}\n"
_AUTHORITY = """[rights]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
_SERVER = """[rights]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


def make_authority(folder: Path) -> None:
    """Write `ca.pem` and `ca.key` to `folder` unless they exist. Raises CommandError."""
    key = folder / "ca.key"
    if key.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _make_key(key)
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "config"
        config.write_text(_REQUEST.format(name="RingRift cluster authority") + _AUTHORITY)
        _openssl(
            "req -x509 -new -sha256 -extensions rights",
            key=key,
            days=AUTHORITY_DAYS,
            config=config,
            out=folder / "ca.pem",
        )


def make_server(authority: Path, folder: Path, name: str, addresses: Sequence[str]) -> None:
    """Write `ca.pem`, `server.pem` and `server.key` to `folder` for a server that is reached at
    `addresses`. Raises CommandError."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "server.key"
    _make_key(key)
    reached = dict.fromkeys((*addresses, "localhost", "127.0.0.1"))
    names = ", ".join(_alternative(address) for address in reached)
    with tempfile.TemporaryDirectory() as scratch:
        config, request, serial = (Path(scratch) / file for file in ("config", "request", "serial"))
        config.write_text(_REQUEST.format(name=name) + _SERVER.format(names=names))
        _openssl("req -new -sha256", key=key, config=config, out=request)
        _openssl(
            "x509 -req -sha256 -CAcreateserial -extensions rights",
            in_=request,
            CA=authority / "ca.pem",
            CAkey=authority / "ca.key",
            CAserial=serial,
            days=SERVER_DAYS,
            extfile=config,
            out=folder / "server.pem",
        )
    (folder / "ca.pem").write_bytes((authority / "ca.pem").read_bytes())


def _alternative(address: str) -> str:
    try:
        return f"IP:{ip_address(address)}"
    except ValueError:
        return f"DNS:{address}"


def _make_key(path: Path) -> None:
    """Write a P-256 key that only its owner can read at any time."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    _openssl("ecparam -name prime256v1 -genkey -noout", out=path)


def _openssl(words: str, **options: str | int | Path) -> None:
    """Run an openssl command with `options`. Raises CommandError."""
    found = shutil.which("openssl")
    if found is None:
        raise CommandError("there is no openssl command on PATH: install the package openssl")
    command = [found, *words.split()]
    for name, value in options.items():
        command += [f"-{name.rstrip('_')}", str(value)]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=OPENSSL_SECONDS_MAX
        )
    except (OSError, subprocess.SubprocessError) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip()
        raise CommandError(
            f"openssl {command[1]} failed: {output.rpartition(chr(10))[2]}"
        ) from error
