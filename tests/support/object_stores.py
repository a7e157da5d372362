"""A real S3 server in this process, empty for each test."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

BUCKET = "bucket"


def request(url: str, method: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method=method)):
        pass


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The place of an empty bucket, with credentials in the environment."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    try:
        request(f"{url}/moto-api/reset", "POST")
        request(f"{url}/{BUCKET}", "PUT")
        yield f"s3://{BUCKET}"
    finally:
        server.stop()
