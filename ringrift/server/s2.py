"""The S2 stream format (https://github.com/klauspost/compress/tree/master/s2), in which nats-server
sends and takes snapshots: decoding, and framing without compression."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import numba
import numpy as np

from ringrift.log.errors import ServerError

IDENTIFIER = b"\xff\x06\x00\x00S2sTwO"
FRAME_BYTES_MAX = 1024 * 1024
_COMPRESSED, _PLAIN = 0x00, 0x01
_POLYNOMIAL = 0x82F63B78
Bytes = Any
"""an array of uint8"""


def _crc_table() -> Any:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


_TABLE = _crc_table()
_compiled: Callable[[Any], Any] = numba.njit(nogil=True, cache=True)


@_compiled
def _crc(data: Bytes, table: Any) -> int:
    """CRC-32C."""
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = table[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return int(crc ^ np.uint32(0xFFFFFFFF))


@_compiled
def _expand(src: Bytes, start: int, out: Bytes) -> bool:
    """Decode a block whose tags begin at `start`; whether it fills `out` exactly."""
    s: Any = start
    d: Any = 0
    offset: Any = 0
    length: Any = 0
    value: Any = 0
    while s < len(src):
        tag = np.int64(src[s])
        kind, value = tag & 3, tag >> 2
        s += 1
        if kind == 0:  # a literal
            if value >= 60:
                count, value = value - 59, 0
                for i in range(count):
                    value |= np.int64(src[s + i]) << (8 * i)
                s += count
            length = value + 1
            if s + length > len(src) or d + length > len(out):
                return False
            out[d : d + length] = src[s : s + length]
            s += length
            d += length
            continue
        if kind == 1:
            length = value & 7
            near = ((tag & 0xE0) << 3) | np.int64(src[s])
            s += 1
            if near:
                offset = near
            elif length >= 5:  # repeats the last offset with a longer length
                count, base = length - 4, (4, 1 << 8, 1 << 16)[length - 5]
                length = 0
                for i in range(count):
                    length |= np.int64(src[s + i]) << (8 * i)
                s += count
                length += base
            length += 4
        else:
            count = 2 if kind == 2 else 4
            offset = 0
            for i in range(count):
                offset |= np.int64(src[s + i]) << (8 * i)
            s += count
            length = value + 1
        if offset <= 0 or offset > d or d + length > len(out):
            return False
        for i in range(d, d + length):
            out[i] = out[i - offset]
        d += length
    return bool(d == len(out))


async def decoded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the content of a stream that arrives in chunks of any size. Raises ServerError for
    bytes that are no S2 stream."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        while len(waiting) >= 4:
            size = int.from_bytes(waiting[1:4], "little")
            if len(waiting) < 4 + size:
                break
            kind, body = waiting[0], bytes(waiting[4 : 4 + size])
            del waiting[: 4 + size]
            if kind in (_COMPRESSED, _PLAIN):
                yield _content(kind, body)
            elif kind < 0x80:
                raise ServerError(f"the snapshot has a part of unknown kind {kind}")
    if waiting:
        raise ServerError("the snapshot ends in the middle of a part")


def _content(kind: int, body: bytes) -> bytes:
    source = np.frombuffer(body, np.uint8)[4:]
    if kind == _PLAIN:
        out = source
    else:
        size, at = 0, 0
        while True:
            byte = int(source[at])
            size |= (byte & 0x7F) << (7 * at)
            at += 1
            if byte < 0x80:
                break
        out = np.empty(size, np.uint8)
        if not _expand(source, at, out):
            raise ServerError("the snapshot is damaged: a part cannot be decoded")
    if _masked(out) != int.from_bytes(body[:4], "little"):
        raise ServerError("the snapshot is damaged: a part has another checksum")
    return out.tobytes()


def framed(data: bytes) -> bytes:
    """At most `FRAME_BYTES_MAX` bytes as a part of a stream, behind `IDENTIFIER`."""
    crc = _masked(np.frombuffer(data, np.uint8)).to_bytes(4, "little")
    return bytes([_PLAIN]) + (len(data) + 4).to_bytes(3, "little") + crc + data


def _masked(data: Bytes) -> int:
    crc = int(_crc(data, _TABLE))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
