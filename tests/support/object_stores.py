"""A real S3 server in this process, empty for each test, and faults in front of it."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.server import DomainDispatcherApplication, ThreadedMotoServer, create_backend_app
from werkzeug.serving import make_server

BUCKET = "bucket"


def request(url: str, method: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method=method)):
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
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield _bucket(monkeypatch, f"http://127.0.0.1:{server.server_port}"), faults
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bucket(monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    request(f"{url}/moto-api/reset", "POST")
    request(f"{url}/{BUCKET}", "PUT")
    return f"s3://{BUCKET}"
