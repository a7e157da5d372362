"""Merkle trees hash as RFC 9162 says, and their proofs prove what is true and nothing else."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from ringrift.events.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    extends,
    includes,
    leaf_hash,
    root_and_paths,
)

# inputs and roots that implementations of certificate transparency are tested with
# (certificate-transparency-go, `testonly/reference.go`), for the first 1 to 8 inputs
INPUTS = (
    *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
SIZE_MAX = 40


def invented(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def naive(leaves: list[bytes]) -> bytes:
    """The definition of section 2.1.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\1" + naive(leaves[:half]) + naive(leaves[half:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_of_certificate_transparency(size: int) -> None:
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    assert Tree(LEAVES).root(size).hex() == frontier.root().hex() == ROOTS[size - 1]


@pytest.mark.parametrize("size", range(1, SIZE_MAX))
def test_all_paths_at_once_are_those_of_the_tree(size: int) -> None:
    leaves = invented(size)
    tree, (root, paths) = Tree(leaves), root_and_paths(leaves)
    assert root == tree.root(size)
    assert paths == [b"".join(tree.inclusion(index, size)) for index in range(size)]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == Tree().root(0) == EMPTY_ROOT == sha256().digest()


def test_the_proofs_are_those_of_certificate_transparency() -> None:
    tree = Tree(LEAVES)
    assert [item.hex()[:8] for item in tree.inclusion(0, 8)] == ["96a296d2", "5f083f0a", "6b47aaf2"]
    assert [item.hex()[:8] for item in tree.consistency(6, 8)] == [
        *("0ebc5d34", "ca854ea1", "d37ee418")
    ]


def test_a_frontier_and_a_tree_have_the_root_of_the_definition() -> None:
    leaves = invented(SIZE_MAX)
    tree, frontier = Tree(leaves), Frontier()
    for size in range(1, SIZE_MAX + 1):
        frontier.append(leaves[size - 1])
        again = Frontier(size, frontier.hashes)
        assert tree.root(size) == frontier.root() == again.root() == naive(leaves[:size])


def test_a_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="1 hashes do not cover 3 leaves"):
        Frontier(3, [bytes(32)])


def test_every_leaf_is_proven_at_its_place_only() -> None:
    leaves = invented(SIZE_MAX)
    tree = Tree(leaves)
    for size in range(1, SIZE_MAX + 1):
        root = tree.root(size)
        for index in range(size):
            path = tree.inclusion(index, size)
            assert len(path) <= size.bit_length()
            assert includes(leaves[index], index, size, path, root)
            assert not includes(leaf_hash(b"another"), index, size, path, root)
            assert not includes(leaves[index], index, size, [*path, root], root)
            assert not includes(leaves[index], (index + 1) % size, size, path, root) or size == 1
            if path:
                assert not includes(leaves[index], index, size, path[1:], root)


def test_every_tree_is_proven_to_extend_its_beginnings_only() -> None:
    tree = Tree(invented(SIZE_MAX))
    for size in range(1, SIZE_MAX + 1):
        for old in range(1, size + 1):
            path = tree.consistency(old, size)
            assert len(path) <= size.bit_length() + 1
            assert extends(old, tree.root(old), size, tree.root(size), path)
            assert not extends(old, leaf_hash(b"other"), size, tree.root(size), path)
            assert not extends(old, tree.root(old), size, leaf_hash(b"other"), path)
            assert not extends(old, tree.root(old), size, tree.root(size), [*path, bytes(32)])


def test_a_changed_proof_proves_nothing() -> None:
    tree, chance = Tree(invented(1000)), random.Random(1)
    for _ in range(200):
        size = chance.randint(2, 1000)
        index, old = chance.randrange(size), chance.randint(1, size - 1)
        path, grown = tree.inclusion(index, size), tree.consistency(old, size)
        for proof in (path, grown):
            at = chance.randrange(len(proof))
            proof[at] = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        leaf = leaf_hash(str(index).encode())
        assert not includes(leaf, index, size, path, tree.root(size))
        assert not extends(old, tree.root(old), size, tree.root(size), grown)


def test_what_is_not_there_is_not_proven() -> None:
    tree = Tree(invented(5))
    with pytest.raises(ValueError, match="no leaf 5 among 5"):
        tree.inclusion(5, 5)
    with pytest.raises(ValueError, match="no trees of 6 and 5"):
        tree.consistency(6, 5)
    assert not includes(bytes(32), 5, 5, [], tree.root(5))
    assert not extends(0, EMPTY_ROOT, 5, tree.root(5), [])
    assert not extends(3, tree.root(3), 5, tree.root(5), [])


def test_a_frontier_proves_the_next_leaf() -> None:
    frontier, found = Frontier(), invented(SIZE_MAX)
    tree = Tree(found)
    for index, leaf in enumerate(found):
        assert frontier.next_proof() == tree.inclusion(index, index + 1)
        frontier.append(leaf)
        assert includes(leaf, index, index + 1, tree.inclusion(index, index + 1), frontier.root())
