"""Allocation: shares sum to one, no config starves, none crowds out the rest; plans and budgets
follow."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from support.ratings import table, trial

from ringrift.deciders.feedback.allocation import allocate, bounded, starvation, starved
from ringrift.deciders.feedback.scheduling import DECIDER, budget, priority, terms_of, velocity_term
from ringrift.deciders.loop import selfplay
from ringrift.events import SettingsError
from ringrift.events.facts import (
    AllocationDecided,
    CurriculumReweighted,
    EfficiencyMeasured,
    ModelPromoted,
    QualityAssessed,
    SelfplayFinished,
    SelfplayPlanned,
    SelfplaySuspended,
    ShardExported,
    TickRecorded,
    VelocityChanged,
)
from ringrift.events.settings import SchedulingSettings, SelfplaySettings
from ringrift.events.settings_sources import load

HEX, SQUARE, BIG = "hex8_2p", "square8_2p", "square19_4p"
B = "b" * 64
DEFAULT = SchedulingSettings()


def played(config: str, games: int = 1000) -> SelfplayFinished:
    return SelfplayFinished(
        config=config, generation=0, ticket="t", games=games, plies=1, play_seconds=1.0, node="n"
    )


def exported(config: str) -> ShardExported:
    return ShardExported(
        config=config,
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=64,
        games=64,
        samples=1,
        rejected=0,
        digest=B,
        size_bytes=1,
    )


def moves(config: str, elo_per_hour: float | None) -> VelocityChanged:
    return VelocityChanged(
        config=config,
        model=B,
        elo_per_hour=elo_per_hour,
        pace="fast",
        elo_above_heuristic=10.0,
        settings_version=1,
    )


def promoted(config: str) -> ModelPromoted:
    return ModelPromoted(
        config=config,
        generation=1,
        model=B,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def assessed(config: str, adjusted: float, **components: float) -> QualityAssessed:
    return QualityAssessed(
        config=config,
        shard=B,
        games=500,
        score=adjusted,
        confidence=1.0,
        adjusted=adjusted,
        components=components,
        settings_version=1,
    )


def reweighted(**weights: float) -> CurriculumReweighted:
    return CurriculumReweighted(
        config=None, reason="outage", amplitude=1.0, weights=weights, settings_version=1
    )


@pytest.fixture
def life(story, settings_changed):
    """Three configs with as many games each."""
    return story(DECIDER).given(
        settings_changed(configs=(HEX, SQUARE, BIG)), *map(played, (HEX, SQUARE, BIG))
    )


def test_unknown_configs_have_equal_shares(story, settings_changed):
    (fact,) = (
        story(DECIDER).when(settings_changed(configs=(HEX, SQUARE, BIG))).then(AllocationDecided)
    )
    assert fact.shares == pytest.approx(dict.fromkeys((HEX, SQUARE, BIG), 1 / 3))


def test_a_single_config_has_the_whole_share(story, settings_changed):
    life = story(DECIDER)
    (fact,) = life.when(settings_changed()).then(AllocationDecided)
    assert fact.shares == {HEX: 1.0}
    life.when(played(HEX)).then()
    life.when(moves(HEX, 9.0)).then()


def test_a_new_config_beside_old_ones_is_starved(story, settings_changed):
    life = story(DECIDER).given(
        settings_changed(configs=(HEX, SQUARE)), played(HEX), played(SQUARE)
    )
    (fact,) = life.when(settings_changed(version=2, configs=(HEX, SQUARE, BIG))).then(
        AllocationDecided
    )
    assert fact.shares[BIG] == pytest.approx(DEFAULT.starved_max)
    assert fact.shares[HEX] == pytest.approx(1 / 4)


def test_few_opponents_and_not_few_games_raise_a_share(life):
    (fact,) = life.when(assessed(HEX, 0.5, opponents=1.0)).then(AllocationDecided)
    terms = {config: terms["diversity"] for config, terms in fact.terms.items()}
    assert terms == {HEX: 0.0, SQUARE: 0.5, BIG: 0.5}
    assert fact.shares[HEX] < 1 / 3 < fact.shares[SQUARE]


def test_a_config_with_fewer_than_5000_games_gets_more(story, settings_changed):
    life = story(DECIDER).given(settings_changed(configs=(HEX, SQUARE)))
    life.given(played(SQUARE, games=4_999), played(HEX, games=5_000))
    (fact,) = life.when(TickRecorded(minute=1)).then(AllocationDecided)
    assert fact.shares[SQUARE] / fact.shares[HEX] == pytest.approx(DEFAULT.few_factor, rel=0.02)


def test_velocity_moves_shares_at_once_by_the_history_of_the_config(life):
    life.given(moves(SQUARE, 100.0), moves(HEX, 10.0))
    assert life.state.shares[HEX] == pytest.approx(life.state.shares[SQUARE])
    (fact,) = life.when(moves(HEX, 30.0)).then(AllocationDecided)
    assert fact.shares[HEX] > fact.shares[SQUARE]
    (fact,) = life.when(moves(SQUARE, 0.0)).then(AllocationDecided)
    assert fact.shares[HEX] > fact.shares[BIG] > fact.shares[SQUARE]


@for_all(st.floats(-500, 500), st.floats(-500, 500), st.floats(0, 500))
def test_the_term_of_velocity_is_continuous(one, other, usual):
    assert 0.0 <= velocity_term(one, usual) <= 1.0
    assert abs(velocity_term(one, usual) - velocity_term(other, usual)) <= 2 * abs(one - other)
    if one >= other >= 0:
        assert velocity_term(one, usual) >= velocity_term(other, usual)


def efficient(config: str, gain: float, *, cost: float | None) -> EfficiencyMeasured:
    return EfficiencyMeasured(
        config=config,
        hours=1.0,
        node_hours=1.0,
        cost=cost or 0.0,
        elo_gained=gain,
        elo_per_hour=gain,
        elo_per_node_hour=gain,
        elo_per_cost=gain / cost if cost else None,
        spent={},
        settings_version=1,
    )


def test_elo_for_its_cost_moves_shares(life):
    life.given(efficient(HEX, 10.0, cost=1.0), efficient(SQUARE, 20.0, cost=10.0))
    assert life.state.shares[HEX] > life.state.shares[BIG] > life.state.shares[SQUARE]
    # where nodes of one cost nothing, hours of nodes count
    life.given(efficient(HEX, 10.0, cost=None))
    assert life.state.shares[HEX] < life.state.shares[SQUARE]


def test_an_operator_raises_a_config(story, settings_changed):
    raised = SchedulingSettings(priorities=(f"{HEX}=2",))
    life = story(DECIDER).given(
        settings_changed(configs=(HEX, SQUARE, BIG), scheduling=raised),
        *map(played, (HEX, SQUARE, BIG)),
    )
    shares = life.state.shares
    assert shares[SQUARE] == pytest.approx(shares[BIG])
    assert shares[HEX] == pytest.approx(2 * shares[BIG])


def test_a_suspended_config_has_its_floor(life):
    suspended = SelfplaySuspended(
        config=HEX, failures=6, retry_seconds=60.0, why="w", settings_version=1
    )
    (fact,) = life.when(suspended).then(AllocationDecided)
    assert fact.shares[HEX] == pytest.approx(DEFAULT.floor / 3)


def test_a_shard_without_samples_leaves_a_config_stale(life):
    life.given(exported(HEX)).after(hours=2)
    before = terms_of(life.state, life.in_force.settings, life.now)[HEX]["staleness"]
    life.given(msgspec.structs.replace(exported(HEX), samples=0))
    assert terms_of(life.state, life.in_force.settings, life.now)[HEX]["staleness"] >= before


def test_the_curriculum_moves_shares(life):
    (fact,) = life.when(reweighted(**{HEX: 2.0, SQUARE: 1.0, BIG: 1.0})).then(AllocationDecided)
    assert fact.shares[HEX] > fact.shares[SQUARE] == pytest.approx(fact.shares[BIG])
    assert fact.terms[SQUARE]["curriculum"] == 0.5


def test_poor_data_bring_more_games(life):
    (fact,) = life.given(assessed(SQUARE, 0.9)).when(assessed(HEX, 0.1)).then(AllocationDecided)
    assert fact.shares[HEX] > fact.shares[SQUARE]


def test_time_without_a_shard_brings_more_games(life):
    life.given(*map(exported, (HEX, SQUARE, BIG))).after(hours=2).given(
        exported(SQUARE), exported(BIG)
    ).after(hours=2)
    life.given(TickRecorded(minute=1))
    assert life.state.shares[HEX] > life.state.shares[SQUARE]


def test_an_uncertain_rating_brings_more_games(life):
    life.given(promoted(SQUARE), table({trial(B[0]): 0.0}, config=SQUARE, error=2.0))
    terms = terms_of(life.state, life.in_force.settings, life.now)[SQUARE]
    assert terms["value_of_information"] == pytest.approx(2 / 52)
    assert (
        terms_of(life.state, life.in_force.settings, life.now)[HEX]["value_of_information"] == 1.0
    )


def test_small_moves_are_not_recorded(life):
    life.when(played(HEX, 10)).then()


def test_plans_have_games_by_share(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(configs=(HEX, SQUARE), selfplay=SelfplaySettings(games=192))
    )
    life.given(AllocationDecided(shares={HEX: 0.75, SQUARE: 0.25}, terms={}, settings_version=1))
    (plan,) = life.when(promoted(HEX)).then(SelfplayPlanned)
    (other,) = life.when(promoted(SQUARE)).then(SelfplayPlanned)
    assert (plan.games, other.games) == (288, 96)


def test_one_config_alone_plays_as_the_settings_say(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SelfplaySettings(games=192, simulations=32))
    )
    life.given(AllocationDecided(shares={HEX: 1.0}, terms={}, settings_version=1))
    (plan,) = life.when(promoted(HEX)).then(SelfplayPlanned)
    assert (plan.games, plan.simulations) == (192, 32)


def test_budgets_follow_games_where_they_are_wanted(story, settings_changed):
    tiers = SelfplaySettings(budget="tiers")
    (plan,) = story(selfplay.DECIDER).when(settings_changed(selfplay=tiers)).then(SelfplayPlanned)
    assert plan.simulations == 64


@pytest.mark.parametrize(
    ("games", "gap", "simulations"),
    [
        (0, None, 64),
        (99, 900, 64),
        (100, None, 150),
        (499, None, 150),
        (500, 0, 200),
        (999, 0, 200),
        (1000, None, 200),
        (1000, 99, 200),
        (1000, 100, 400),
        (5000, 300, 800),
        (5000, 700, 1600),
    ],
)
def test_budgets(games, gap, simulations):
    assert budget(games, gap, SelfplaySettings()) == simulations


def test_budgets_are_settings():
    own = SelfplaySettings(budget_games=("50=8",), budget_elo=("200=30",))
    assert [budget(games, None, own) for games in (49, 50)] == [8, 30]
    with pytest.raises(ValueError, match="names 50 twice"):
        SelfplaySettings(budget_games=("50=8", "50=9"))


@pytest.mark.parametrize(
    ("games", "factor"), [(0, 200), (19, 200), (20, 50), (99, 50), (100, 20), (499, 20), (500, 1)]
)
def test_starvation_has_three_tiers(games, factor):
    assert starvation(games, DEFAULT) == factor


def test_the_state_survives_json(life):
    life.given(moves(HEX, 9.0), promoted(HEX), exported(HEX))
    assert life.restored() == life.state


names = [
    f"{board}_{seats}p"
    for board in ("square8", "square19", "hex8", "hexagonal")
    for seats in (2, 3, 4)
]
unit = st.floats(0.0, 1.0)
loads = st.dictionaries(
    st.sampled_from(names), st.tuples(unit, st.integers(0, 100_000)), min_size=1
)


@for_all(loads=loads)
def test_shares_sum_to_one_within_their_limits(loads):
    shares = allocate(
        {k: v[0] for k, v in loads.items()}, {k: v[1] for k, v in loads.items()}, DEFAULT
    )
    count = len(shares)
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-9)
    assert min(shares.values()) >= 0.25 / count - 1e-9
    assert max(shares.values()) <= min(1.0, max(0.4, 2 / count)) + 1e-9


@for_all(loads=loads, more=unit)
def test_a_higher_priority_never_gives_a_smaller_share(loads, more):
    games = {k: v[1] for k, v in loads.items()}
    priorities = {k: v[0] for k, v in loads.items()}
    name = min(loads)
    raised = {**priorities, name: max(priorities[name], more)}
    assert (
        allocate(raised, games, DEFAULT)[name] >= allocate(priorities, games, DEFAULT)[name] - 1e-9
    )


@for_all(loads=loads)
def test_starvation_drowns_no_term_of_the_others(loads):
    """Two configs that are not starved keep the ratio of their priorities, between the limits."""
    games = {k: v[1] for k, v in loads.items()}
    priorities = {k: v[0] for k, v in loads.items()}
    raw = starved(priorities, games, DEFAULT)
    well = [name for name in raw if games[name] >= DEFAULT.critical_games]
    assert all(raw[name] == max(priorities[name], 0.01) for name in well)
    needy = sum(value for name, value in raw.items() if name not in well)
    plain = sum(max(priorities[name], 0.01) for name in raw if name not in well)
    part = DEFAULT.starved_max / (1 - DEFAULT.starved_max)
    if well:
        assert needy <= plain + part * sum(raw[name] for name in well) + 1e-9


TERMS = sorted(msgspec.structs.asdict(DEFAULT.weights))
terms = st.fixed_dictionaries(dict.fromkeys(TERMS, unit))


@for_all(terms=terms, name=st.sampled_from(TERMS), value=unit)
def test_no_term_moves_a_priority_by_more_than_its_weight(terms, name, value):
    weights = msgspec.structs.asdict(DEFAULT.weights)
    moved = abs(priority({**terms, name: value}, DEFAULT) - priority(terms, DEFAULT))
    assert moved <= weights[name] / sum(weights.values()) + 1e-12
    assert 0.0 <= priority(terms, DEFAULT) <= 1.0 + 1e-12


@for_all(raw=st.dictionaries(st.sampled_from(names), st.floats(1e-3, 1e3), min_size=2))
def test_limits_do_not_change_the_order(raw):
    shares = bounded(
        raw, dict.fromkeys(raw, 0.25 / len(raw)), dict.fromkeys(raw, max(0.4, 2 / len(raw)))
    )
    ordered = sorted(raw, key=lambda name: raw[name])
    assert all(shares[one] <= shares[two] + 1e-9 for one, two in pairwise(ordered))


CONFIGS = [
    f"{board}_{seats}p"
    for board in ("square8", "square19", "hex8", "hexagonal")
    for seats in (2, 3, 4)
]


@for_all(
    st.dictionaries(
        st.sampled_from(CONFIGS), st.tuples(st.floats(0.0, 1.0), st.integers(0, 2000)), min_size=2
    ),
    st.dictionaries(
        st.sampled_from(["square8", "hex8", "hexagonal", "hex8_2p", "square19_4p"]),
        st.sampled_from([0.05, 0.2, 0.5]),
    ),
)
def test_quotas_hold_but_for_floors_and_shares_still_sum_to_one(found, quotas):
    settings = SchedulingSettings(quotas=tuple(f"{name}={most}" for name, most in quotas.items()))
    games = {config: count for config, (_, count) in found.items()}
    shares = allocate({config: value for config, (value, _) in found.items()}, games, settings)
    floor = settings.floor / len(shares)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= floor * (1 - 1e-9)
    free = [
        config
        for config in shares
        if config not in quotas and config.partition("_")[0] not in quotas
    ]
    if len(free) >= 3:  # some config may take the games that others may not have
        for name, most in quotas.items():
            mine = [
                share
                for config, share in shares.items()
                if name in (config, config.partition("_")[0])
            ]
            assert sum(mine) <= max(most, floor * len(mine)) + 1e-9


def test_a_quota_that_is_none_is_refused():
    with pytest.raises(SettingsError, match="quotas"):
        load({"scheduling.quotas": "square8:0.3"})
