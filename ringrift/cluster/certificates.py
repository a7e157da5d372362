"""A private certificate authority and the servers' certificates, made by the `openssl` command.

`openssl` because it is on every machine that runs servers; a library would be a dependency for one
afternoon a year."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ringrift.errors import CommandError

AUTHORITY_DAYS = 3650
SERVER_DAYS = 825
"""the longest that clients of Apple's take; a new one is made by `ringrift cluster certs` and read
at a reload"""
OPENSSL_SECONDS_MAX = 60.0
_REQUEST = "[req]\nprompt = no\ndistinguished_name = name\n[name]\nCN = {name}\n"
_AUTHORITY = "[rights]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n"
_SERVER = (
    "[rights]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n"
    "extendedKeyUsage = serverAuth, clientAuth\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
    "subjectAltName = {names}\n"
)


def make_authority(folder: Path) -> None:
    """`ca.pem` and `ca.key` in `folder`, unless they are there. Raises CommandError."""
    if (folder / "ca.key").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _make_key(folder / "ca.key")
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "config"
        config.write_text(_REQUEST.format(name="RingRift cluster authority") + _AUTHORITY)
        _openssl(
            "req",
            "-x509",
            "-new",
            "-sha256",
            "-key",
            folder / "ca.key",
            "-days",
            str(AUTHORITY_DAYS),
            "-config",
            config,
            "-extensions",
            "rights",
            "-out",
            folder / "ca.pem",
        )


def make_server(authority: Path, folder: Path, name: str, addresses: Sequence[str]) -> None:
    """`ca.pem`, `server.pem` and `server.key` in `folder` for a server that is reached under
    `addresses`. Raises CommandError."""
    folder.mkdir(parents=True, exist_ok=True)
    _make_key(folder / "server.key")
    names = ", ".join(
        _alternative(address) for address in dict.fromkeys((*addresses, "localhost", "127.0.0.1"))
    )
    with tempfile.TemporaryDirectory() as scratch:
        config, request = Path(scratch) / "config", Path(scratch) / "request"
        config.write_text(_REQUEST.format(name=name) + _SERVER.format(names=names))
        _openssl(
            "req",
            "-new",
            "-sha256",
            "-key",
            folder / "server.key",
            "-config",
            config,
            "-out",
            request,
        )
        _openssl(
            "x509",
            "-req",
            "-sha256",
            "-in",
            request,
            "-CA",
            authority / "ca.pem",
            "-CAkey",
            authority / "ca.key",
            "-CAcreateserial",
            "-CAserial",
            Path(scratch) / "serial",
            "-days",
            str(SERVER_DAYS),
            "-extfile",
            config,
            "-extensions",
            "rights",
            "-out",
            folder / "server.pem",
        )
    (folder / "ca.pem").write_bytes((authority / "ca.pem").read_bytes())


def _alternative(address: str) -> str:
    try:
        return f"IP:{ip_address(address)}"
    except ValueError:
        return f"DNS:{address}"


def _make_key(path: Path) -> None:
    """A key on P-256 that only its owner reads, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


def _openssl(*words: str | Path) -> None:
    found = shutil.which("openssl")
    if found is None:
        raise CommandError(
            "no openssl command on PATH: certificates are made with it; install the package openssl"
        )
    try:
        subprocess.run(
            [found, *words], check=True, capture_output=True, text=True, timeout=OPENSSL_SECONDS_MAX
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise CommandError(f"openssl {words[0]} failed: {said[-1] if said else error}") from error
