"""Merkle trees as in RFC 9162, section 2.1: roots, inclusion and consistency proofs.

`Frontier` keeps O(log n) hashes and gives the root of what it has seen; `Tree` keeps all hashes (64
bytes a leaf) and proves. Proofs are lists of hashes of O(log n) length, leaves are hashes
(`leaf_hash`)."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf's data."""
    return sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """The complete subtrees that cover the first `size` leaves, the largest first."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Raises ValueError unless there is one hash for each binary one of `size`."""
        if len(hashes) != size.bit_count() or any(len(item) != HASH_BYTES for item in hashes):
            raise ValueError(f"{len(hashes)} hashes do not cover {size} leaves")
        self.size, self.hashes = size, list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        size, self.size = self.size, self.size + 1
        while size & 1:
            leaf, size = _node(self.hashes.pop(), leaf), size >> 1
        self.hashes.append(leaf)

    def root(self) -> bytes:
        """The root of the tree of the leaves so far."""
        return _joined(self.hashes) if self.hashes else EMPTY_ROOT

    def next_proof(self) -> list[bytes]:
        """Prove that the next leaf is the last of the tree that it completes, as `Tree.inclusion`
        does: its siblings are these subtrees."""
        return self.hashes[::-1]

    def copy(self) -> "Frontier":
        """The same frontier, which may grow on its own."""
        return Frontier(self.size, self.hashes)


def _joined(hashes: Sequence[bytes]) -> bytes:
    """The root above complete subtrees, the largest first."""
    *others, root = hashes
    for left in reversed(others):
        root = _node(left, root)
    return root


def root_and_paths(leaves: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The root over some leaves, and for each the joined siblings on the way to it, as
    `Tree.inclusion` finds them, several times as fast."""
    levels = [list(leaves)]
    while len(level := levels[-1]) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        levels.append([_node(*pair) for pair in pairs] + level[len(level) & ~1 :])
    paths = [b""]
    for level in reversed(levels[:-1]):
        level.append(b"")  # the last node of a level may have no sibling
        paths = [level[index ^ 1] + paths[index >> 1] for index in range(len(level) - 1)]
    return levels[-1][0], paths


class Tree:
    """A tree that proves what it contains, and that it only grew."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        for height, level in enumerate(self._levels):
            level += leaf
            if len(level) // HASH_BYTES % 2:
                return
            leaf = _node(bytes(level[-2 * HASH_BYTES : -HASH_BYTES]), leaf)
            if height + 1 == len(self._levels):
                self._levels.append(bytearray(leaf))
                return

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Prove that leaf `index` (from 0) is among the first `size`: the siblings on the way to
        the root."""
        _check(0 <= index < size <= self.size, f"no leaf {index} among {size} of {self.size}")
        return self._path(index, 0, size)

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._range(middle, end)]
        return [*self._path(index, middle, end), self._range(start, middle)]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Prove that the tree of the first `old` leaves is a beginning of that of `size`."""
        _check(0 < old <= size <= self.size, f"no trees of {old} and {size} of {self.size} leaves")
        return self._grown(old, 0, size, whole=True)

    def _grown(self, old: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        if old == end:
            return [] if whole else [self._range(start, end)]
        middle = start + _split(end - start)
        if old <= middle:
            return [*self._grown(old, start, middle, whole=whole), self._range(middle, end)]
        return [*self._grown(old, middle, end, whole=False), self._range(start, middle)]

    def _range(self, start: int, end: int) -> bytes:
        """The root of the leaves from `start`, a multiple of the largest subtree, to `end`."""
        hashes = []
        while start < end:
            height = (end - start).bit_length() - 1
            at = (start >> height) * HASH_BYTES
            hashes.append(bytes(self._levels[height][at : at + HASH_BYTES]))
            start += 1 << height
        return _joined(hashes)


def _split(count: int) -> int:
    """The largest power of two below `count`: the leaves of the left subtree."""
    return 1 << ((count - 1).bit_length() - 1)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that `leaf` is number `index` of the `size` leaves under `root`."""
    return root_above(leaf, index, size, path) == root


def root_above(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root to which `path` leads from leaf number `index` of `size` (RFC 9162, section
    2.1.3.2); None if it cannot be such a path."""
    if not 0 <= index < size:
        return None
    number, last, found = index, size - 1, leaf
    for sibling in path:
        if not last:
            return None
        if number & 1 or number == last:
            found = _node(sibling, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = _node(found, sibling)
        number, last = number >> 1, last >> 1
    return None if last else found


def extends(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the `old` leaves under `old_root` are the first of the `size`
    leaves under `root` (RFC 9162, section 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not path and old_root == root
    steps = [*path] if old & (old - 1) else [old_root, *path]
    if not steps:
        return False
    number, last = old - 1, size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    before = after = steps[0]
    for sibling in steps[1:]:
        if not last:
            return False
        if number & 1 or number == last:
            before, after = _node(sibling, before), _node(sibling, after)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            after = _node(after, sibling)
        number, last = number >> 1, last >> 1
    return not last and before == old_root and after == root
