"""Finds damaged Raft snapshots in a voter's store, and sets those of streams and consumers aside.

A server that finds one (nats-server 2.15.1) does not take part in that stream any more: its copy
stays behind, and once it is given up, no new one is made. Without the snapshot it drops the rest of
that group's Raft log, takes part with an empty one, and gets what it lacks from the leader; servers
with empty logs are not elected while another has one. Its term and vote, in other files, stay.

A snapshot ends with its HighwayHash-64 (Alakuijala, Cox and Wassenberg 2016, whose constants these
are), keyed with the SHA-256 of the group's name."""

import hashlib
import re
import struct
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

META = "_meta_"
ASIDE = "damaged"
"""directory of the store that damaged snapshots are moved to"""
SNAPSHOT_BYTES_MIN, HASH_BYTES = 28, 8
"""the server takes less for no snapshot (`minSnapshotLen` of its `raft.go`)"""
_NAME = re.compile(r"snap\.(\d+)\.(\d+)")
_LANES, _PAIR, _HALVES = struct.Struct("<4Q"), struct.Struct("<2Q"), struct.Struct("<8I")
_MASK, _LOW = 2**64 - 1, 2**32 - 1
_MUL0 = (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3)
_MUL1 = (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377)
_ZIPPER = itemgetter(3, 12, 2, 5, 14, 1, 15, 0, 11, 4, 10, 13, 9, 6, 8, 7)
_FINAL_ROUNDS = 4


def set_aside(store: Path) -> list[str]:
    """Move damaged snapshots of streams and consumers aside, while no server runs; return a line
    for each, and for that of the cluster itself, which stays: should all voters lack it, they would
    elect a leader of nothing, and delete all streams."""
    said = []
    for path in damaged(store):
        group = path.parts[-3]
        if group == META:
            said.append(
                f"{path} is damaged, and the server does not start with it: while the other voters "
                f"work, and never on all of them, move that file out of {store}, and start the "
                "server; it gets what it lacks from them"
            )
            continue
        aside = store / ASIDE / f"{group}.{path.name}"
        aside.parent.mkdir(exist_ok=True)
        path.replace(aside)
        said.append(
            f"{path} was damaged and is {aside} now: the server gets what it lacks of "
            f"group {group} from the others; look at this disk"
        )
    return said


def damaged(store: Path) -> Iterator[Path]:
    """The snapshots that servers would start from and whose hash is not that of their bytes."""
    for folder in sorted((store / "jetstream").glob("*/_js_/*/snapshots")):
        found = {path: _NAME.fullmatch(path.name) for path in folder.iterdir()}
        ages = {path: (int(name[1]), int(name[2])) for path, name in found.items() if name}
        if ages:
            newest = max(ages, key=ages.__getitem__)
            if not is_whole(newest.read_bytes(), folder.parent.name):
                yield newest


def is_whole(snapshot: bytes, group: str) -> bool:
    """Whether a snapshot is as it was written."""
    if len(snapshot) < SNAPSHOT_BYTES_MIN:
        return False
    body, written = snapshot[:-HASH_BYTES], snapshot[-HASH_BYTES:]
    return highwayhash(body, hashlib.sha256(group.encode()).digest()) == written


def highwayhash(data: bytes, key: bytes) -> bytes:
    """HighwayHash-64 of `data` with a key of 32 bytes, as minio's package for Go writes it."""
    words = _LANES.unpack(key)
    turned = [_turned(word) for word in words]
    state = (
        [word ^ start for word, start in zip(words, _MUL0, strict=True)],
        [word ^ start for word, start in zip(turned, _MUL1, strict=True)],
        [*_MUL0],
        [*_MUL1],
    )
    v0, v1, mul0, mul1 = state
    rest = len(data) % _LANES.size
    for packet in _LANES.iter_unpack(data[: len(data) - rest]):
        _update(state, packet)
    if rest:
        v0[:] = [(word + (rest << 32) + rest) & _MASK for word in v0]
        halves = [_rotated(half, rest) for half in _HALVES.unpack(_LANES.pack(*v1))]
        v1[:] = _LANES.unpack(_HALVES.pack(*halves))
        _update(state, _LANES.unpack(_padded(data[-rest:])))
    for _ in range(_FINAL_ROUNDS):
        _update(state, tuple(_turned(v0[lane]) for lane in (2, 3, 0, 1)))
    found: int = (v0[0] + v1[0] + mul0[0] + mul1[0]) & _MASK
    return found.to_bytes(HASH_BYTES, "little")


def _update(state: tuple[list[int], ...], packet: tuple[int, ...]) -> None:
    v0, v1, mul0, mul1 = state
    for lane, word in enumerate(packet):
        v1[lane] = (v1[lane] + word + mul0[lane]) & _MASK
        mul0[lane] ^= (v1[lane] & _LOW) * (v0[lane] >> 32)
        v0[lane] = (v0[lane] + mul1[lane]) & _MASK
        mul1[lane] ^= (v0[lane] & _LOW) * (v1[lane] >> 32)
    for source, target in ((v1, v0), (v0, v1)):
        for lane in (0, 2):
            zipped = bytes(_ZIPPER(_PAIR.pack(source[lane], source[lane + 1])))
            for at, word in enumerate(_PAIR.unpack(zipped), lane):
                target[at] = (target[at] + word) & _MASK


def _padded(rest: bytes) -> bytes:
    """The last packet, of less than 32 bytes, in a form of its own."""
    size, odd = len(rest), len(rest) % 4
    whole = size - odd
    packet = bytearray(rest[:whole].ljust(_LANES.size, b"\0"))
    if size >= 16:
        packet[28:] = rest[-4:]
    elif odd:
        packet[16:19] = bytes((rest[whole], rest[whole + odd // 2], rest[-1]))
    return bytes(packet)


def _turned(word: int) -> int:
    return (word >> 32) | ((word << 32) & _MASK)


def _rotated(half: int, by: int) -> int:
    return ((half << by) | (half >> (32 - by))) & _LOW
