"""Participants by the texts that people write, and their networks."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from support.examples import example

from ringrift.analysis.participants import Library, Wish, parse, usual_budget
from ringrift.analysis.positions import analyse
from ringrift.analysis.searching import Searcher
from ringrift.errors import CommandError
from ringrift.events import draft, facts, type_of
from ringrift.learning.pairings import TIERS
from ringrift.log.blobs import Blobs
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.rules import Config, Position
from ringrift.search.harness import HARNESSES, HarnessError
from ringrift.tools.memory_log import MemoryLog

HEX8 = Config.parse("hex8_2p")


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("D1", Wish(harness="random", simulations=0)),
        ("d10", Wish(harness="gumbel", simulations=1024)),
        ("heuristic", Wish(harness="heuristic")),
        ("minimax:2048", Wish(harness="minimax", simulations=2048)),
        ("current", Wish(harness="gumbel", network="current")),
        ("c0ffee:64", Wish(harness="gumbel", network="c0ffee", simulations=64)),
        ("current@policy", Wish(harness="policy", network="current")),
        ("a:b.pt@brs:8", Wish(harness="brs", network="a:b.pt", simulations=8)),
    ],
)
def test_a_text_names_a_participant(text: str, wish: Wish) -> None:
    assert parse(text) == wish


@pytest.mark.parametrize("text", ["", "@gumbel", "current@chess", "x@"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is no player: give a tier D1 to D10"):
        parse(text)


@pytest.mark.parametrize("name", TIERS)
async def test_every_tier_plays_without_a_network(name: str, library: Library) -> None:
    assert (await library.participant(HEX8, name)).seat == TIERS[name]


async def test_parts_must_go_together(library: Library) -> None:
    with pytest.raises(HarnessError, match="maxn plays with 3 or 4 seats"):
        await library.participant(HEX8, "maxn")
    with pytest.raises(CommandError, match="more than 100,000"):
        await library.participant(HEX8, "gumbel:999999")
    with pytest.raises(CommandError, match="hex8_2p has no current network"):
        await library.participant(HEX8, "current")


def test_the_usual_budget_is_one_of_the_ladder() -> None:
    for name, harness in HARNESSES.items():
        assert usual_budget(name) in (harness.ladder or (0,))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """The file of a network with random weights."""
    tower = build("v2-micro", hex_board=True, seed=1)
    path = tmp_path / "network.safetensors"
    path.write_bytes(TowerCheckpoint.save(tower, architecture="v2-micro", config=HEX8))
    return path


async def test_a_network_is_read_from_a_file_once(network: Path) -> None:
    library = Library(files=True)
    one = await library.participant(HEX8, f"{network}:4")
    other = await library.participant(HEX8, f"{network}@policy")
    assert one.seat.model == digest_of(network.read_bytes())  # noqa: ASYNC240
    assert one.seat.participant == f"{one.seat.model[:12]}:gumbel:s4"
    assert one.title == f"gumbel, 4 simulations, network {one.seat.model[:12]}"
    assert one.model is other.model is not None


async def test_a_network_analyses_with_its_policy_as_prior(
    network: Path, searching: Searcher
) -> None:
    who = await Library(files=True).participant(HEX8, f"{network}:16")
    (found,) = [one async for one in analyse(searching, who, Position.start(HEX8))]
    assert found.root.visits == 16
    assert found.root.raw_values is not None
    assert len({move.prior for move in found.moves}) > 1


async def test_files_and_stored_networks_are_read_only_where_permitted(network: Path) -> None:
    with pytest.raises(CommandError, match="is no player and no digest"):
        await Library().participant(HEX8, f"{network}:4")
    with pytest.raises(CommandError, match="without a log there are no stored networks"):
        await Library(files=True).participant(HEX8, "c0ffee")


async def test_the_current_network_is_read_from_the_log(network: Path) -> None:
    # given a log with an incumbent
    log, data = MemoryLog(), network.read_bytes()  # noqa: ASYNC240
    digest = await Blobs(log).put(MODEL_BUCKET, data)
    library = Library(log)
    assert await library.current(HEX8) is None
    fact = example(type_of(facts.ModelPromoted))
    promoted = replace(fact, config="hex8_2p", model=digest)
    await log.append([draft(promoted, cause=None, source="test", key="1")])
    # then it is `current`, and has a digest
    assert await library.current(HEX8) == digest
    for name in ("current", digest[:8]):
        assert (await library.participant(HEX8, f"{name}:4")).seat.model == digest
    # until it is rolled back
    returned = facts.ModelRolledBack(
        config="hex8_2p",
        settings_version=1,
        model=digest,
        current="ab" * 32,
        elo_drop=90.0,
        why="-",
    )
    await log.append([draft(returned, cause=None, source="test", key="2")])
    assert await library.current(HEX8) == "ab" * 32
