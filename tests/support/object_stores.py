"""Real servers of object stores, empty for each test, and faults in front of one of them."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from moto.server import DomainDispatcherApplication, ThreadedMotoServer, create_backend_app
from werkzeug.serving import make_server

from ringrift.server.address import free_port

BUCKET = "bucket"


ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""in the documentation of Azurite"""
VERSION = "x-ms-version:2021-08-06"
NO_HEADERS = "\n" * 12
START_SECONDS_MAX = 30.0


def request(
    url: str, method: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> None:
    asked = urllib.request.Request(url, data=data, headers=dict(headers or {}), method=method)
    with urllib.request.urlopen(asked):
        pass


@dataclass
class Faults:
    """What the store does wrong, by method of a request: an HTTP status that it answers with, and
    how long it waits before each answer."""

    status: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    """real seconds"""

    def mend(self) -> None:
        """Do everything right from now on."""
        self.status, self.delay_seconds = {}, 0.0

    def before(self, app: Any) -> Any:
        """The application behind these faults."""

        def faulty(environ: Any, start_response: Any) -> Iterable[bytes]:
            method = environ["REQUEST_METHOD"]
            time.sleep(self.delay_seconds)
            if method in self.status:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(self.status[method], [("Content-Type", "application/xml")])
                return [b"<Error><Code>Injected</Code><Message>injected</Message></Error>"]
            return app(environ, start_response)  # type: ignore[no-any-return]

        return faulty


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The place of an empty bucket, with credentials in the environment."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield _bucket(monkeypatch, f"http://{host}:{port}")
    finally:
        server.stop()


@pytest.fixture
def faulty_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Faults]]:
    """The same, with faults that a test chooses."""
    faults = Faults()
    app = faults.before(DomainDispatcherApplication(create_backend_app))
    with _served(app) as url:
        yield _bucket(monkeypatch, url), faults


@contextlib.contextmanager
def _served(app: Any) -> Iterator[str]:
    """The address of an application that is served until the block ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def emulated_gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same on the server `fake-gcs-server`, behind a relay."""
    program = _found("fake-gcs-server")
    port = free_port()
    url, host = f"http://127.0.0.1:{port}", ("-host", "127.0.0.1", "-port", str(port))
    options = (*host, "-backend", "memory", "-scheme", "http", "-public-host", f"127.0.0.1:{port}")
    with _running(url, program, *options), _served(_gcs_relay(url)) as relay:
        account = {"gcs_base_url": relay, "disable_oauth": True}
        account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
        request(f"{url}/storage/v1/b?project=test", "POST", json.dumps({"name": BUCKET}).encode())
        yield f"gs://{BUCKET}"


def _gcs_relay(url: str) -> Any:
    """The application that asks the server at an address as GCS is asked: `fake-gcs-server` stores
    with PUT only what is signed, does not look at the signature, and answers without an ETag."""

    def relay(environ: Any, start_response: Any) -> Iterable[bytes]:
        method, wanted = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        data = None
        if method == "PUT":
            wanted += "?X-Goog-Algorithm=none"
            data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = urllib.request.Request(f"{url}{wanted}", data=data, method=method)
        try:
            answer: Any = urllib.request.urlopen(asked)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content, kept = answer.read(), ("content-type", "last-modified", "etag")
            found = {name: text for name, text in answer.headers.items() if name.lower() in kept}
        headers = {"ETag": '"none"', "Content-Length": str(len(content))} | found
        start_response(f"{answer.status} -", list(headers.items()))
        return [content]

    return relay


@pytest.fixture
def emulated_azure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The same on the server `azurite-blob`, whose account everybody knows."""
    program = _found("azurite-blob")
    port = free_port()
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", url)
    options = ("--location", str(tmp_path / "azurite"), "--blobPort", str(port), "--silent")
    with _running(url, program, *options, "--skipApiVersionCheck", "--disableTelemetry"):
        now = f"x-ms-date:{format_datetime(datetime.now(UTC), usegmt=True)}"
        signed = (
            f"PUT{NO_HEADERS}{now}\n{VERSION}\n/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
        )
        key = base64.b64decode(ACCOUNT_KEY)
        signature = base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
        headers = dict(line.split(":", 1) for line in (now, VERSION))
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}"}
        request(f"{url}/{BUCKET}?restype=container", "PUT", headers=headers)
        yield f"az://{BUCKET}"


def _found(program: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(program)
    return found


@contextlib.contextmanager
def _running(url: str, *command: str) -> Iterator[None]:
    """Run a server until the block ends, from when on it answers."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while time.monotonic() < deadline:
                try:
                    request(url, "GET")
                    break
                except urllib.error.HTTPError:  # it answers
                    break
                except OSError:
                    time.sleep(0.05)
            yield
        finally:
            server.kill()


def _bucket(monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    request(f"{url}/moto-api/reset", "POST")
    request(f"{url}/{BUCKET}", "PUT")
    return f"s3://{BUCKET}"
