"""Quality of data: components, confidence, fading, and two bounds that do not flap."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st

from ringrift.deciders.feedback.quality import (
    DECIDER,
    Judged,
    confidence,
    faded,
    mean,
    measure,
    weigh,
)
from ringrift.events.facts import (
    QualityAssessed,
    QualityDegraded,
    QualityRecovered,
    ShardExported,
    ShardSummary,
)
from ringrift.events.settings import QualityWeights

CONFIG = "hex8_2p"


def summary(**changes) -> ShardSummary:
    """64 good games of 30 plies, give or take 2."""
    good = ShardSummary(
        games=64,
        wins=(33, 31),
        plies=64 * 30,
        plies_squared=64 * (900 + 4),
        openings=64,
        participants=("a:gumbel:s32",),
        decisions=1600,
        agreed=1200,
    )
    return msgspec.structs.replace(good, **changes)


def shard(
    what: ShardSummary | None = None, rejected: int = 0, config: str = CONFIG
) -> ShardExported:
    return ShardExported(
        config=config,
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=64,
        games=64,
        samples=1600,
        rejected=rejected,
        digest="a" * 64,
        size_bytes=1,
        summary=what,
    )


BAD = summary(
    wins=(2, 0), openings=2, decisions=1600, agreed=400, plies=64 * 90, plies_squared=64 * 8104
)


def of(*summaries: ShardSummary, rejected: int = 0, seats: int = 2) -> dict[str, float]:
    return measure(tuple(Judged(summary=item, rejected=rejected) for item in summaries), seats)


def test_a_shard_is_assessed(story, settings_changed):
    (fact,) = story(DECIDER).given(settings_changed()).when(shard(summary())).then(QualityAssessed)
    assert (fact.games, fact.confidence, fact.shard) == (64, 0.75, "a" * 64)
    assert fact.adjusted == pytest.approx(0.75 * fact.score + 0.25 * 0.5)


def test_a_shard_without_self_play_is_not_assessed(story, settings_changed):
    story(DECIDER).given(settings_changed()).when(shard(None)).then()


def test_games_without_a_winner_lower_the_score():
    assert of(summary())["decisive"] == 1.0
    assert of(summary(wins=(16, 16)))["decisive"] == 0.5


def test_equal_openings_lower_the_score():
    assert of(summary(openings=16))["openings"] == 0.25


def test_the_length_is_held_against_the_shards_before():
    assert "length" not in of(summary())
    assert of(summary(), summary())["length"] == pytest.approx(1.0)
    assert of(summary(), summary(plies=64 * 32))["length"] == pytest.approx(0.6065, abs=1e-3)
    assert of(summary(), summary(plies=64 * 90))["length"] < 1e-6


def test_a_second_opponent_counts():
    assert of(summary())["opponents"] == 0.5
    next_generation = summary(participants=("b:gumbel:s32",))
    assert of(summary(), next_generation)["opponents"] == 0.5
    half = summary(opponents={"b:gumbel:s32": 32})
    assert of(half)["opponents"] == 1.0
    assert of(half, summary(opponents={"c:gumbel:s32": 16}))["opponents"] == 1.0
    few = of(summary(opponents={"b:gumbel:s32": 4, "c:gumbel:s32": 4}))["opponents"]
    assert few == pytest.approx(64**2 / (56**2 + 2 * 4**2) / 2)


@pytest.mark.parametrize(
    ("seats", "agreed", "expected"), [(2, 1600, 1.0), (2, 800, 0.0), (4, 400, 0.0), (4, 1000, 0.5)]
)
def test_agreement_is_zero_where_guessing_is_as_good(seats, agreed, expected):
    assert of(summary(agreed=agreed), seats=seats)["agreement"] == pytest.approx(expected)


def test_games_without_search_have_no_agreement():
    assert "agreement" not in of(summary(decisions=0, agreed=0))


def test_games_that_do_not_replay_lower_parity():
    assert of(summary(), rejected=64)["parity"] == 0.5


def test_bad_data_degrade_once_and_good_ones_recover(story, settings_changed):
    life = story(DECIDER).given(settings_changed())
    (_, fact) = life.when(shard(BAD)).then(QualityAssessed, QualityDegraded)
    assert fact.weakest == "agreement"
    life.when(shard(BAD)).then(QualityAssessed)
    for _ in range(7):
        life.given(shard(summary()))
    assert not life.state.configs[CONFIG].degraded
    life.when(shard(summary())).then(QualityAssessed)


def test_recovery_takes_more_than_not_being_degraded(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), shard(BAD))
    middling = summary(wins=(12, 12), openings=10, agreed=850)
    decided = [type(fact) for _ in range(9) for fact in life.when(shard(middling)).decided]
    assert 0.45 < life.decided[0].adjusted < 0.55
    assert QualityRecovered not in decided
    assert QualityDegraded not in decided


def test_configs_are_judged_independently(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), shard(BAD))
    life.when(shard(summary(), config="square8_2p")).then(QualityAssessed)


def test_old_shards_leave_the_window(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), shard(BAD), *[shard(summary())] * 7)
    (fact,) = life.when(shard(summary())).then(QualityAssessed)
    assert (fact.components["decisive"], fact.games, fact.confidence) == (1.0, 512, 1.0)


def test_a_fresh_run_is_not_degraded(story, settings_changed):
    life = story(DECIDER).given(settings_changed())
    for _ in range(11):
        life.when(shard(summary(agreed=900))).then(QualityAssessed)


def test_the_state_survives_json(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), shard(BAD))
    assert life.restored() == life.state


@pytest.mark.parametrize(
    ("games", "expected"), [(0, 0.5), (49, 0.5), (50, 0.75), (499, 0.75), (500, 1.0), (10_000, 1.0)]
)
def test_confidence_grows_with_the_games(games, expected):
    assert confidence(games) == expected


@pytest.mark.parametrize(
    ("score", "sure", "expected"),
    [(1.0, 0.5, 0.75), (0.0, 0.5, 0.25), (0.9, 0.75, 0.8), (0.3, 1.0, 0.3)],
)
def test_weighing_by_confidence(score, sure, expected):
    assert weigh(score, sure) == pytest.approx(expected)


def test_an_assessment_fades_by_half_an_hour_for_an_hour():
    assert faded(0.9, 0, 3600) == pytest.approx(0.9)
    assert faded(0.9, 3600, 3600) == pytest.approx(0.7)
    assert faded(0.1, 7200, 3600) == pytest.approx(0.4)


shares = st.floats(0.0, 1.0)


@for_all(
    components=st.dictionaries(
        st.sampled_from(["decisive", "length", "openings", "parity"]), shares, min_size=1
    )
)
def test_the_mean_is_between_its_components(components):
    low, high = min(components.values()), max(components.values())
    assert low - 1e-12 <= mean(components, QualityWeights()) <= high + 1e-12


@for_all(value=shares, age=st.floats(0, 1e6), later=st.floats(0, 1e6))
def test_fading_is_monotonic_and_never_crosses_neutral(value, age, later):
    one, two = faded(value, age, 3600), faded(value, age + later, 3600)
    assert abs(two - 0.5) <= abs(one - 0.5) + 1e-12
    assert (value - 0.5) * (one - 0.5) >= 0
