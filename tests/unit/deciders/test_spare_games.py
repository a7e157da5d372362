"""Spare games: planned where registered nodes would idle, by shares, in tickets that fit; elsewhere
while a config is trained and measured."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all, strategies as st
from msgspec.structs import replace
from support import loop_facts
from support.loop_facts import fresh

from ringrift.deciders.loop import selfplay, ticket_sizes
from ringrift.deciders.loop.selfplay import DECIDER
from ringrift.events.facts import (
    AllocationDecided,
    NodeAssigned,
    NodeDescribed,
    NodeRegistered,
    NodeUse,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingRequested,
    UtilisationSampled,
)
from ringrift.events.settings import SelfplaySettings, TrainingSettings
from ringrift.events.tickets import SPARE, USUAL, SelfplayTicket, subject_of, tickets_of

HEX, SQUARE = "hex8_2p", "square8_2p"


def assigned(name: str, kinds=("evaluation", "selfplay"), seconds: float = 1200.0) -> NodeAssigned:
    return NodeAssigned(node=name, kinds=kinds, ticket_seconds=seconds, why="w", settings_version=1)


def played(config: str, games: int, seconds: float = 10.0, **changes) -> SelfplayFinished:
    return SelfplayFinished(
        config=config,
        generation=0,
        ticket=fresh(),
        games=games,
        plies=1,
        play_seconds=seconds,
        node="n",
        **changes,
    )


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(
        settings_changed(configs=(HEX, SQUARE), selfplay=SelfplaySettings(bootstrap_games=96))
    )


def ticket_games(life, config: str) -> int:
    return selfplay.ticket_games(life.state, config, life.in_force.settings)


def spare_games(life, config: str) -> int:
    return selfplay.spare_games(life.state, config, life.in_force.settings)


def requested(samples: int = 6000, generation: int = 1) -> TrainingRequested:
    return replace(loop_facts.requested(generation), samples=samples)


def planned(config: str, games: int, **changes) -> SelfplayPlanned:
    return SelfplayPlanned(
        config=config,
        generation=0,
        games=games,
        games_per_ticket=8,
        simulations=1,
        model=None,
        seed=1,
        settings_version=1,
        **changes,
    )


def exported(games: int, samples: int) -> ShardExported:
    return replace(loop_facts.exported(games=games, samples=samples), config=HEX)


def test_before_the_first_training_no_game_is_played_ahead(life):
    life.when(played(HEX, 96)).then()


def test_a_config_plays_ahead_with_its_network_while_it_is_trained(life):
    life.given(played(HEX, 96), exported(64, 6000))
    (plan,) = life.when(requested()).then(SelfplayPlanned)
    assert (plan.config, plan.spare, plan.generation, plan.model) == (HEX, True, 0, None)
    assert plan.tickets == (24, 24), "a ticket for each of two workers"
    life.when(played(HEX, 24, spare=True)).then(SelfplayPlanned)
    life.when(loop_facts.promoted(loop_facts.B)).then(SelfplayPlanned)


def test_play_stops_running_ahead_when_enough_samples_wait_to_be_learned(life):
    life.given(played(HEX, 96), exported(64, 6000), requested())
    ahead = replace(exported(64, 3000), index=1)
    life.given(played(HEX, 24, spare=True))
    life.given(ahead)  # a quarter of the 12,000 that the training passes over
    life.when(played(HEX, 24, spare=True)).then()
    life.when(played(HEX, 48, spare=True)).then()
    life.when(requested(generation=2)).then(SelfplayPlanned)


def test_nothing_is_played_ahead_that_no_training_will_see(story, settings_changed):
    life = story(DECIDER).given(
        settings_changed(configs=(HEX,), generations=1), played(HEX, 96), exported(64, 6000)
    )
    life.when(requested()).then()


def test_every_worker_has_a_ticket_to_play_ahead(life):
    node = NodeUse(cores=8, players=8, busy={}, waited={})
    life.given(UtilisationSampled(seconds=60.0, nodes={"n": node}))
    life.given(played(HEX, 96), exported(64, 6000))
    (plan,) = life.when(requested()).then(SelfplayPlanned)
    assert plan.tickets == (24,) * 8


@for_all(st.integers(1, 5_000), st.integers(1, 96), st.integers(1, 64))
def test_tickets_shrink_and_are_not_fewer_than_the_workers(games, most, workers):
    sizes = ticket_sizes.shrinking(games, most, workers)
    assert sum(sizes) == games
    assert max(sizes) <= most
    assert list(sizes) == sorted(sizes, reverse=True)
    assert len(sizes) >= min(workers, games)


def test_a_ticket_has_the_games_that_its_plan_says():
    plan = SelfplayPlanned(
        config=HEX,
        generation=0,
        games=10,
        games_per_ticket=6,
        tickets=(6, 3, 1),
        simulations=1,
        model=None,
        seed=1,
        settings_version=1,
    )
    found = [(one.first_game, one.games) for one in tickets_of(plan, "EVENTS/1")]
    assert found == [(0, 6), (6, 3), (9, 1)]
    assert len({one.ticket for one in tickets_of(plan, "EVENTS/1")}) == 3
    with pytest.raises(ValueError, match="other games than the plan"):
        replace(plan, tickets=(6, 3))


def test_a_fleet_that_would_idle_gets_a_ticket_for_each_node(life):
    life.given(*(assigned(f"n{i}") for i in range(4)))
    plans = [life.state.configs[HEX], life.state.configs[SQUARE]]
    tickets = sum(item.progress.games_outstanding / ticket_games(life, HEX) for item in plans)
    assert tickets >= 2 * 4, "two tickets a node, one in hand and one waiting"
    life.when(assigned("n0")).then()


def test_tickets_are_small_until_games_were_timed(life):
    assert ticket_games(life, HEX) == 96, "no node is registered"
    life.given(assigned("n0"))
    assert ticket_games(life, HEX) == ticket_sizes.TICKET_GAMES_MIN
    life.given(played(HEX, 96, 96.0))
    assert ticket_games(life, HEX) == 4 * 96
    assert ticket_games(life, SQUARE) == ticket_sizes.TICKET_GAMES_MIN


def test_spare_games_follow_the_shares(life):
    life.given(AllocationDecided(shares={HEX: 0.75, SQUARE: 0.25}, terms={}, settings_version=1))
    life.given(played(HEX, 96), played(SQUARE, 96))
    life.given(*(assigned(f"n{i}") for i in range(4)))
    for _ in range(200):
        for config in (HEX, SQUARE):
            progress = life.state.configs[config].progress
            if progress.spare_planned > progress.spare_played:
                life.given(played(config, 96, spare=True))
    total = {config: life.state.configs[config].progress.spare_planned for config in (HEX, SQUARE)}
    assert sum(total.values()) > 5000
    assert total[HEX] / sum(total.values()) == pytest.approx(0.75, abs=0.06)


def lived(life, plans: int) -> list[str]:
    """Configs of the spare plans in so many rounds, each played before the next; a ticket of HEX
    has 384 games, one of SQUARE 8."""
    found: list[str] = []
    for _ in range(plans):
        before = {name: item.progress.spare_planned for name, item in life.state.configs.items()}
        for name, item in life.state.configs.items():
            if left := item.progress.games_outstanding:
                life.given(
                    played(name, left, left * (300.0 if name == SQUARE else 0.1), spare=True)
                )
        found += [
            name
            for name, item in life.state.configs.items()
            if item.progress.spare_planned > before[name]
        ]
    return found


@pytest.fixture
def uneven(life):
    """Games of SQUARE take 3,000 times as long; all generations are played."""
    life.given(played(HEX, 96, 9.6), played(SQUARE, 96, 28_800.0))
    return life.given(*(assigned(f"n{i}", seconds=300.0) for i in range(4)))


def test_shares_hold_for_plans_of_different_sizes(uneven):
    lived(uneven, 200)
    total = {name: item.progress.spare_planned for name, item in uneven.state.configs.items()}
    assert spare_games(uneven, HEX) >= 40 * spare_games(uneven, SQUARE)
    seconds = {HEX: 0.1 * total[HEX], SQUARE: 300.0 * total[SQUARE]}
    assert seconds[SQUARE] / sum(seconds.values()) == pytest.approx(0.5, abs=0.05)


def test_a_config_behind_its_share_plays_though_the_tickets_of_others_wait(life):
    life.given(played(HEX, 96, 96.0), exported(64, 6000), played(SQUARE, 96, 9600.0))
    life.given(*(assigned(f"n{i}", seconds=300.0) for i in range(4)))
    while life.state.configs[SQUARE].progress.games_outstanding < 200:
        life.given(planned(SQUARE, 100))
    life.given(played(HEX, life.state.configs[HEX].progress.games_outstanding, 96.0, spare=True))
    assert life.state.configs[HEX].credit > 0.0 > life.state.configs[SQUARE].credit
    (plan,) = life.when(requested()).then(SelfplayPlanned)
    assert (plan.config, plan.spare, plan.owed) == (HEX, True, True)
    (first, *_) = tickets_of(plan, "EVENTS/1")
    assert subject_of(first) == f"ringrift.work.selfplay.{USUAL}.{HEX}"


def test_no_generation_waits_for_them_and_the_plan_of_the_next_is_not_theirs(life):
    life.given(assigned("n0"))
    item = life.state.configs[HEX]
    assert item.plans == 1
    assert item.progress.games_planned == 96
    life.given(played(HEX, 96))
    assert life.state.configs[HEX].progress.idle(10**9)


def test_tickets_fit_the_node_that_may_vanish_first(life):
    life.given(played(HEX, 10, 100.0), played(HEX, 10, 100.0), assigned("stays", seconds=1200.0))
    assert ticket_games(life, HEX) == 120
    life.given(assigned("spot", seconds=300.0))
    assert ticket_games(life, HEX) == 30
    life.given(assigned("spot", kinds=()))
    assert ticket_games(life, HEX) == 120


def test_a_ticket_is_neither_too_small_nor_too_large(life):
    life.given(assigned("n0", seconds=300.0), played(HEX, 1, 1e6), played(SQUARE, 10**6, 1.0))
    assert ticket_games(life, HEX) == ticket_sizes.TICKET_GAMES_MIN
    assert ticket_games(life, SQUARE) == 4 * 96


def test_spare_tickets_come_last():
    (ticket,) = tickets_of(planned(HEX, 1), "EVENTS/1")
    assert subject_of(ticket) == f"ringrift.work.selfplay.{USUAL}.{HEX}"
    assert isinstance(ticket, SelfplayTicket)
    (ticket,) = tickets_of(planned(HEX, 1, spare=True), "EVENTS/1")
    assert subject_of(ticket) == f"ringrift.work.selfplay.{SPARE}.{HEX}"


def test_shards_count_spare_games_as_played(life):
    life.given(assigned("n0"), played(HEX, 96), played(HEX, 96, spare=True))
    assert not life.state.configs[HEX].progress.idle(64), "192 games wait for a shard"
    life.given(
        ShardExported(
            config=HEX,
            encoder="e",
            index=0,
            first_seq=1,
            last_seq=192,
            games=192,
            samples=9999,
            rejected=0,
            digest="0" * 64,
            size_bytes=1,
        )
    )
    assert life.state.configs[HEX].progress.idle(64)


def described(name: str, vram_gib: float, kinds=("selfplay",)) -> NodeDescribed:
    return NodeDescribed(
        node=name,
        provider="own",
        accelerator="gpu" if vram_gib else "cpu-8",
        gpus=bool(vram_gib),
        cores=8,
        vram_gib=vram_gib,
        cost_per_hour=0.0,
        kinds=kinds,
        rented=False,
        version="1",
    )


WIDE = SelfplaySettings(games=3000, bootstrap_games=96)


def test_the_tickets_of_a_gpu_are_as_wide_as_its_memory_allows(story, settings_changed):
    life = story(DECIDER).given(settings_changed(configs=(HEX,), selfplay=WIDE))
    life.given(described("gpu", 8.0), described("coordinator", 0.0, kinds=()))
    assert ticket_games(life, HEX) == 96, "the heuristic plays, which runs on no GPU"
    life.given(played(HEX, 96, seconds=1.0), exported(64, 6000), requested())
    (plan,) = life.when(loop_facts.promoted(loop_facts.B)).then(SelfplayPlanned)
    assert plan.games_per_ticket == 2048 == 8 * ticket_sizes.GAMES_A_GIB
    assert plan.tickets == (1500, 1500), "one for each of two workers"
    life.given(described("gpu", 80.0))
    assert ticket_games(life, HEX) == ticket_sizes.TICKET_GAMES_GPU_MAX
    life.given(described("laptop", 0.0))
    assert ticket_games(life, HEX) == 96, "it may get any ticket"


def test_an_nnue_has_usual_tickets_on_a_gpu(story, settings_changed):
    nnue = TrainingSettings(architecture="nnue_policy")
    life = story(DECIDER).given(settings_changed(configs=(HEX,), selfplay=WIDE, training=nnue))
    life.given(
        described("gpu", 80.0), played(HEX, 96, seconds=1.0), exported(64, 6000), requested()
    )
    (plan,) = life.when(loop_facts.promoted(loop_facts.B)).then(SelfplayPlanned)
    assert plan.games_per_ticket == 96


def test_a_fleet_of_gpus_has_tickets_of_their_memory_if_they_end_in_time(story, settings_changed):
    life = story(DECIDER).given(settings_changed(configs=(HEX,), selfplay=WIDE))
    for name, gib in (("a", 24.0), ("b", 8.0)):
        life.given(
            NodeRegistered(
                node=name, provider="p", accelerator="g", vram_gib=gib, cost_per_hour=0.0
            ),
            assigned(name),
        )
    life.given(played(HEX, 96, seconds=1.0), exported(64, 6000), requested())
    life.given(loop_facts.promoted(loop_facts.B))
    assert ticket_games(life, HEX) == 2048, "the smaller GPU may get any ticket"
    life.given(*(played(HEX, 10, seconds=40.0) for _ in range(60)))
    assert ticket_games(life, HEX) < 400, "a game takes longer than expected"
