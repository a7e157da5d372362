"""Properties of the search on random tables, and several games in one forest."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ringrift.search.gumbel import forest as fo, selection as se
from ringrift.search.gumbel.forest import NONE, new_forest
from ringrift.search.gumbel.selection import Settings, considered_table
from ringrift.tools.search_check.tables import Outcome, Table, search_table, two_player_table

ACTIONS = 4


def random_table(
    seed: int, *, seats: int = 2, states: int = 24, actions: int = ACTIONS, noise: float = 1.0
) -> Table:
    """Return a game without cycles: moves lead to higher states, the last six are ends.

    `noise` is the spread of the values of states."""
    generator = np.random.default_rng(seed)
    child = np.array(
        [generator.integers(min(s + 1, states - 1), states, actions) for s in range(states)]
    )
    terminal = np.arange(states) >= states - 6
    ranks = np.array([generator.permutation(seats) for _ in range(states)])
    result = (1.0 - 2.0 * ranks / (seats - 1)).astype(np.float32)
    return Table(
        child=child,
        logits=generator.normal(size=(states, actions)).astype(np.float32),
        values=np.tanh(noise * generator.normal(size=(states, seats))).astype(np.float32),
        mover=generator.integers(0, seats, states),
        terminal=terminal,
        result=result,
        reward=np.zeros((states, actions, seats), np.float32),
        keep=np.ones((states, actions), np.float32),
    )


def run(
    table: Table,
    seed: int,
    *,
    simulations: int,
    considered: int = ACTIONS,
    how: Settings | None = None,
) -> Outcome:
    noise = np.random.default_rng(seed).gumbel(size=table.logits.shape[1]).astype(np.float32)
    return search_table(
        table,
        root=0,
        noise=noise,
        simulations=simulations,
        considered_max=considered,
        settings=how or Settings(),
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    seats=st.integers(2, 4),
    simulations=st.integers(1, 40),
    considered=st.integers(1, 8),
    depth_max=st.integers(1, 12),
)
def test_invariants_of_a_search(
    seed: int, seats: int, simulations: int, considered: int, depth_max: int
) -> None:
    table = random_table(seed, seats=seats)
    outcome = run(
        table,
        seed,
        simulations=simulations,
        considered=considered,
        how=Settings(depth_max=depth_max),
    )
    assert outcome.visits.sum() == simulations
    assert (outcome.visits > 0).sum() <= max(1, considered)
    assert outcome.policy.sum() == pytest.approx(1.0, abs=1e-5)
    assert (outcome.policy >= 0).all()
    assert outcome.visits[outcome.action] == outcome.visits.max()
    bound = max(np.abs(table.values).max(), np.abs(table.result).max())
    assert np.abs(outcome.root_values).max() <= bound + 1e-5
    assert (np.isnan(outcome.q) == (outcome.visits == 0)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), seats=st.integers(2, 4))
def test_renaming_the_seats_renames_the_values(seed: int, seats: int) -> None:
    table = random_table(seed, seats=seats)
    order = np.random.default_rng(seed + 1).permutation(seats)  # new seat i was order[i]
    renamed = Table(
        child=table.child,
        logits=table.logits,
        values=table.values[:, order],
        mover=np.argsort(order)[table.mover],
        terminal=table.terminal,
        result=table.result[:, order],
        reward=table.reward[:, :, order],
        keep=table.keep,
    )
    before, after = run(table, seed, simulations=25), run(renamed, seed, simulations=25)
    assert before.action == after.action
    assert before.visits.tolist() == after.visits.tolist()
    assert before.policy.tolist() == after.policy.tolist()
    assert before.root_values[order].tolist() == after.root_values.tolist()


def solve(table: Table) -> np.ndarray:
    """Return max-n values (S, P) by backward induction; every move leads to a higher state."""
    values = np.where(table.terminal[:, None], table.result, 0.0)
    for state in range(len(values) - 1, -1, -1):
        if not table.terminal[state]:
            options = values[table.child[state]]
            values[state] = options[options[:, table.mover[state]].argmax()]
    return values


def test_more_simulations_find_better_moves() -> None:
    """The mean true value of the chosen root moves for the mover rises with the budget."""
    tables = [random_table(seed) for seed in range(300)]
    solved = [solve(table) for table in tables]

    def strength(simulations: int) -> float:
        gains = []
        for seed, (table, values) in enumerate(zip(tables, solved, strict=True)):
            action = run(table, seed, simulations=simulations).action
            gains.append(values[table.child[0, action], table.mover[0]])
        return float(np.mean(gains))

    best = float(
        np.mean([values[0, table.mover[0]] for table, values in zip(tables, solved, strict=True)])
    )
    few, some, many = strength(1), strength(16), strength(256)
    assert few + 0.1 < some < many <= best
    assert many > best - 0.1 * (best - few)


def test_the_improved_policy_is_worth_at_least_the_prior() -> None:
    """Under the values of the search: the policy improvement theorem of the paper."""
    for seed in range(50):
        table = random_table(seed)
        outcome = run(table, seed, simulations=64)
        prior = np.exp(table.logits[0] - table.logits[0].max())
        prior /= prior.sum()
        assert not np.isnan(outcome.q).any()
        assert outcome.policy @ outcome.q >= prior @ outcome.q - 1e-5


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    level=st.sampled_from([0.0, 0.1, 1.0, 300.0]),
    turn=st.sampled_from([-1.0, 1.0]),
)
def test_rounding_noise_does_not_change_the_policy(seed: int, level: float, turn: float) -> None:
    """Rewards cancel every difference in value, so all true Q are equal and the policy is the
    prior."""
    generator = np.random.default_rng(seed)
    child = generator.integers(0, 12, (12, ACTIONS))
    value = level * generator.choice([-1.0, 1.0], 12) + generator.normal(size=12)
    value[0] = level
    reward = value[:, None] - turn * value[child]
    logits = generator.normal(size=(12, ACTIONS)).astype(np.float32)
    table = two_player_table(
        child=child,
        reward=reward.astype(np.float32),
        discount=np.full((12, ACTIONS), turn, np.float32),
        logits=logits,
        value=value.astype(np.float32),
    )
    outcome = run(table, seed, simulations=200)
    prior = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert outcome.policy == pytest.approx(prior, abs=1e-3)


def test_a_single_move_gets_all_visits() -> None:
    table = random_table(3, actions=1)
    outcome = run(table, 3, simulations=5, considered=8)
    assert (outcome.action, outcome.visits.tolist(), outcome.policy.tolist()) == (0, [5], [1.0])


def next_leaves(forest: fo.Forest, games: int, considered: np.ndarray) -> int:
    """Run all games to their next leaf; return how many have one."""
    leaves = [se.next_leaf(forest, Settings(), game, considered) for game in range(games)]
    return sum(edge != NONE for edge in leaves)


def _search_together(
    tables: list[Table], noises: list[np.ndarray], simulations: int, pool: int
) -> fo.Forest:
    """Search all tables in one forest in lockstep; enlarge the pool whenever it is full."""
    games = len(tables)
    forest = new_forest(games, simulations, 2, pool)
    considered = considered_table(ACTIONS, simulations)
    states = np.zeros((games, simulations + 1), np.int64)
    for game, (table, noise) in enumerate(zip(tables, noises, strict=True)):
        forest = fo.with_edges(forest, ACTIONS)
        fo.plant(forest, game, int(table.mover[0]), table.logits[0], table.values[0], noise, False)
    while next_leaves(forest, games, considered):
        for game, table in enumerate(tables):
            parent, edge = int(forest.game[game].leaf_node), int(forest.game[game].leaf_edge)
            if edge == NONE:
                continue
            before = states[game, parent - game * forest.stride]
            state = table.child[before, edge - forest.node[parent].first_edge]
            over = table.terminal[state]
            logits = table.logits[state, :0] if over else table.logits[state]
            values = (table.result if over else table.values)[state]
            node = fo.expand(forest, game, int(table.mover[state]), logits, values)
            if node == NONE:
                forest = fo.with_edges(forest, ACTIONS)
                node = fo.expand(forest, game, int(table.mover[state]), logits, values)
            states[game, node - game * forest.stride] = state
            fo.backup(forest, node)
    return forest


def test_games_in_lockstep_equal_separate_games() -> None:
    tables = [random_table(seed) for seed in range(8)]
    noises = [
        np.random.default_rng(seed).gumbel(size=ACTIONS).astype(np.float32) for seed in range(8)
    ]
    forest = _search_together(tables, noises, simulations=20, pool=5)
    for game, table in enumerate(tables):
        alone = run(table, game, simulations=20)
        root = game * forest.stride
        first = int(forest.node[root].first_edge)
        policy = np.zeros(ACTIONS, np.float32)
        se.improved_policy(forest, Settings(), game, policy)
        assert se.best_edge(forest, Settings(), game) - first == alone.action
        assert forest.edge["visits"][first : first + ACTIONS].tolist() == alone.visits.tolist()
        assert policy.tolist() == alone.policy.tolist()
        assert forest.mean[root].tolist() == alone.root_values.tolist()


def test_a_full_pool_leaves_the_forest_unchanged() -> None:
    forest = new_forest(1, 4, 2, 3)
    three, two = np.zeros(3, np.float32), np.zeros(2, np.float32)
    assert (
        fo.plant(forest, 0, 0, np.zeros(4, np.float32), two, np.zeros(4, np.float32), False) == NONE
    )
    assert fo.plant(forest, 0, 0, three, two, three, False) == 0
    assert se.next_leaf(forest, Settings(), 0, considered_table(3, 4)) == 0
    assert fo.expand(forest, 0, 1, three, two) == NONE
    assert (forest.game[0].node_count, forest.edge_top[0], forest.edge[0].child) == (1, 3, NONE)
    fo.clear(forest)
    assert (forest.game[0].node_count, forest.edge_top[0]) == (0, 0)


def test_a_root_without_moves_is_done_at_once() -> None:
    forest = new_forest(1, 4, 2, 3)
    none = np.zeros(0, np.float32)
    fo.plant(forest, 0, 0, none, np.ones(2, np.float32), none, False)
    assert se.next_leaf(forest, Settings(), 0, considered_table(3, 4)) == NONE
    assert se.best_edge(forest, Settings(), 0) == NONE


def test_values_that_are_not_numbers_do_not_stop_the_search() -> None:
    table = random_table(5)
    table.values[:] = np.nan
    assert run(table, 5, simulations=20).visits.sum() == 20


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        new_forest(0, 1, 2, 1)
    with pytest.raises(ValueError, match="at least 1"):
        considered_table(0, 5)
