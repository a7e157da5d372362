"""An HTTP server that receives alerts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread


class Receiver(ThreadingHTTPServer):
    """Answers with `status` and keeps the requests; a slow one answers when it is closed."""

    daemon_threads = True

    def __init__(self, status: int = 200, *, slow: bool = False, tls: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.slow, self.closed = status, slow, Event()
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "server.pem", tls / "server.key")
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/hook"

    def handle_error(self, *_: object) -> None:
        """A client that does not trust the certificate hangs up."""


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), content))
        if self.server.slow:
            self.server.closed.wait()
            return
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "http://elsewhere.example/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(status: int = 200, **options) -> Iterator[Receiver]:
    with Receiver(status, **options) as receiver:
        thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        receiver.closed.set()
        receiver.shutdown()
        thread.join()
