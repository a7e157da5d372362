"""Raw HTTP requests."""

from __future__ import annotations

import asyncio
import contextlib


async def get(address: str, path: str) -> tuple[int, bytes]:
    """Status and body of a GET request."""
    return await request(address, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def request(address: str, data: bytes, *, end: bool = False) -> tuple[int, bytes]:
    """Send bytes and read the whole answer: status, 0 without an answer, and body."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            if end:
                writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return 0, b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body
