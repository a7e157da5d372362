"""The audits' test in numbers: forgers of every kind are found, honest nodes are not convicted.

Games are drawn, not played: how often a decision of each kind of game differs was measured with
networks on hex8_2p (docs/promises.md). The decider and the sample are the real ones."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from ringrift.deciders.fleet.audits import CONVICTING, Record
from ringrift.events.facts import NodeAudit
from ringrift.events.settings import AuditSettings
from ringrift.trust.auditing import AGAIN
from ringrift.trust.replay import AGREEING_MIN

FORGED_SHARE = 0.05
GAMES_MAX = 2_000
NODES = 2_000
DECISIONS = 60
"""of a game on hex8_2p"""
AUDITED_AT_ONCE = 20


class Kind(NamedTuple):
    """How often decisions with noise, and the others, differ when they are searched again."""

    noisy: float
    others: float
    broken: bool = False


SAME_MACHINE = Kind(0.0, 0.0)
OTHER_MACHINE = Kind(0.017, 0.030)
"""bfloat16 against float32, measured with one random network on the CPU"""
FORGERIES = {
    "illegal moves": Kind(0.0, 0.0, broken=True),
    "wrong result": Kind(0.0, 0.0, broken=True),
    "targets not from the search": Kind(1.0, 1.0),
    "half the simulations": Kind(0.907, 0.727),
    "three quarters of the simulations": Kind(0.449, 0.404),
    "another network": Kind(0.939, 0.896),
    "copied games": Kind(0.899, 0.0),
}


def verdict(kind: Kind, draw: random.Random) -> str:
    """What an audit of one game gives: a first look at one decision, then more if it differs."""
    if kind.broken:
        return "broken"
    rate = kind.noisy if draw.random() < 0.5 else kind.others
    if draw.random() >= rate:
        return ""
    half = AGAIN // 2
    noisy, others = (sum(draw.random() < rate for _ in range(half)) for rate in kind[:2])
    most = (1.0 - AGREEING_MIN) * half
    return "differing" if max(noisy, others) > most or noisy + others > 2 * most else ""


def games_until_convicted(
    forged: Kind,
    honest: Kind,
    draw: random.Random,
    limit: int,
    share: float = FORGED_SHARE,
    auditors: int = 1,
) -> int | None:
    """How many games a node plays until it is convicted, by one auditor or by several that share
    its games; None if it is not within `limit`."""
    settings, record = AuditSettings(), Record()
    batches = [list[str]() for _ in range(auditors)]
    for game in range(1, limit + 1):
        kind = forged if draw.random() < share else honest
        new = record.games < settings.new_games
        looks = settings.decisions * DECISIONS * (settings.new_factor if new else 1.0)
        if draw.random() >= looks:
            continue
        auditor = draw.randrange(auditors)
        batch = batches[auditor]
        batch.append(verdict(kind, draw))
        if len(batch) * auditors >= AUDITED_AT_ONCE or game == limit:
            named = {
                what: tuple(str(n) for n, one in enumerate(batch) if one == what)
                for what in ("differing", "broken")
            }
            found = NodeAudit(
                node="n", first_seq=1, games=len(batch), decisions=len(batch), **named
            )
            record = record.after(found, game, str(auditor))
            batch.clear()
            if record.evidence >= CONVICTING and (auditors == 1 or record.confirmed):
                return game
    return None


@pytest.mark.parametrize("auditors", [1, 2, 4])
@pytest.mark.parametrize("honest", [SAME_MACHINE, OTHER_MACHINE], ids=["same", "other"])
@pytest.mark.parametrize("what", FORGERIES)
def test_a_twentieth_of_forged_games_is_found_within_2000_games(
    what: str, honest: Kind, auditors: int
) -> None:
    draw = random.Random(f"{what} {honest}")
    count, forged = NODES // 10, FORGERIES[what]
    found = [
        games_until_convicted(forged, honest, draw, GAMES_MAX, auditors=auditors)
        for _ in range(count)
    ]
    caught = [games for games in found if games is not None]
    assert len(caught) >= 0.99 * count


def test_an_honest_node_is_not_convicted() -> None:
    """A conviction needs six differing games in a short time; their rate is far below that which
    the bound of the test allows for, by which one in 72 thousand million games convicts."""
    draw, games = random.Random(1), 200_000
    differing = sum(verdict(OTHER_MACHINE, draw) == "differing" for _ in range(games))
    assert differing / games < 0.00025 / 10
    assert all(
        games_until_convicted(OTHER_MACHINE, OTHER_MACHINE, draw, 20_000) is None for _ in range(10)
    )


def test_no_auditor_convicts_a_node_whose_games_pass_elsewhere() -> None:
    """One that lies about every game; a node that differs as another machine does."""
    draw, record = random.Random(2), Record()
    for game in range(20_000):
        if draw.random() < 0.5:
            lie = NodeAudit(node="n", first_seq=1, games=1, decisions=1, broken=(str(game),))
            record = record.after(lie, game + 1, "liar")
            continue
        differs = verdict(OTHER_MACHINE, draw) == "differing"
        named = (str(game),) if differs else ()
        honest = NodeAudit(node="n", first_seq=1, games=1, decisions=1, differing=named)
        record = record.after(honest, game + 1, "honest")
        assert not record.confirmed
    assert record.evidence >= CONVICTING


@pytest.mark.slow
def test_more_nodes() -> None:
    """The figures of docs/promises.md; `-s` prints them."""
    for what, forged in FORGERIES.items():
        for name, honest in (("same", SAME_MACHINE), ("other", OTHER_MACHINE)):
            for auditors in (1, 2):
                draw = random.Random(f"{what} {name}")
                found = [
                    games_until_convicted(forged, honest, draw, GAMES_MAX, auditors=auditors)
                    for _ in range(NODES)
                ]
                caught = sorted(games for games in found if games is not None)
                middle, late = caught[len(caught) // 2], caught[int(len(caught) * 0.99) - 1]
                share = len(caught) / NODES
                text = f"{share:.2%}, half by {middle}, 99 % by {late}"
                print(f"{what}, {name}, {auditors} auditors: {text}")
                assert share >= 0.99
