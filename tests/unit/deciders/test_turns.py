"""Configs share workers by seconds: bounded lag, bounded wait, and short work first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from hypothesis import given as for_all, strategies as st

from ringrift.deciders.fleet.turns import Turns

Sizes = dict[str, list[float]]
seconds = st.floats(0.1, 1000.0)
sizes = st.dictionaries(st.sampled_from("abcdef"), st.lists(seconds, min_size=1), min_size=2)
shares = st.fixed_dictionaries({config: st.floats(0.1, 10.0) for config in "abcdef"})
SLACK = 1e-6
"""relative, for sums of floats"""


def filled(sizes: Sizes) -> Turns:
    turns = Turns()
    for config, each in sizes.items():
        for number in range(len(each)):
            turns.join(config, f"{config} {number}")
    return turns


def size_in(sizes: Sizes) -> Callable[[str], float]:
    def of(ticket: str) -> float:
        config, number = ticket.split()
        return sizes[config][int(number)]

    return of


@for_all(sizes, shares)
def test_seconds_of_waiting_configs_differ_by_no_more_than_a_ticket_of_each(
    sizes: Sizes, shares: dict[str, float]
) -> None:
    turns, of = filled(sizes), size_in(sizes)
    given, left = dict.fromkeys(sizes, 0.0), {name: len(each) for name, each in sizes.items()}
    longest = {config: max(each) / shares[config] for config, each in sizes.items()}
    while (ticket := turns.take(of, shares.__getitem__)) is not None:
        config = ticket.split()[0]
        given[config] += of(ticket) / shares[config]
        left[config] -= 1
        waiting = [name for name, count in left.items() if count]
        for one in waiting:
            for other in waiting:
                lag = given[one] - given[other]
                assert lag <= (longest[one] + longest[other]) * (1 + SLACK)
    assert not any(left.values())
    assert not len(turns)


@for_all(sizes, shares, seconds)
def test_a_ticket_waits_for_no_more_than_the_shares_of_the_others_and_a_ticket_of_each(
    sizes: Sizes, shares: dict[str, float], mine: float
) -> None:
    """However long the queues of the others are, and whenever it comes."""
    turns, of = filled(sizes), size_in({**sizes, "new": [mine]})
    shares = {**shares, "new": 1.0}
    for _ in range(len(sizes)):
        turns.take(of, shares.__getitem__)
    turns.join("new", "new 0")
    before: dict[str, float] = defaultdict(float)
    while (ticket := turns.take(of, shares.__getitem__)) != "new 0":
        assert ticket is not None
        before[ticket.split()[0]] += of(ticket)
    for config, waited_for in before.items():
        assert waited_for <= (shares[config] * mine + max(sizes[config])) * (1 + SLACK)


@for_all(
    st.lists(st.tuples(st.sampled_from("ab"), seconds, seconds), min_size=4, max_size=60),
    st.floats(0.1, 10.0),
)
def test_wrong_predictions_are_made_up_for(
    tickets: list[tuple[str, float, float]], share: float
) -> None:
    turns, shares, spent = Turns(), {"a": share, "b": 1.0}, {"a": 0.0, "b": 0.0}
    left = {"a": 0, "b": 0}
    for number, (config, _, _) in enumerate(tickets):
        turns.join(config, str(number))
        left[config] += 1
    longest = max(max(guess, actual) for _, guess, actual in tickets) / min(shares.values())
    while (
        ticket := turns.take(lambda name: tickets[int(name)][1], shares.__getitem__)
    ) is not None:
        config, _, actual = tickets[int(ticket)]
        turns.settle(ticket, actual)
        spent[config] += actual / shares[config]
        left[config] -= 1
        if all(left.values()):
            assert abs(spent["a"] - spent["b"]) <= 2 * longest * (1 + SLACK)


def test_short_tickets_go_first_until_their_share_is_used_up() -> None:
    sizes = {"long": [300.0, 300.0], "short": [100.0] * 6}
    turns, taken = filled(sizes), list[str]()
    while (ticket := turns.take(size_in(sizes), lambda _: 1.0)) is not None:
        taken.append(ticket.split()[0])
    assert taken == ["short", "short", "long", "short", "short", "short", "long", "short"]


def test_a_config_that_asked_for_nothing_is_owed_nothing() -> None:
    turns, taken = Turns(), []
    for number in range(20):
        turns.join("busy", f"busy {number}")
    for _ in range(10):
        turns.take(lambda _: 10.0, lambda _: 1.0)
    for number in range(5):
        turns.join("late", f"late {number}")
    for _ in range(6):
        taken.append(str(turns.take(lambda _: 10.0, lambda _: 1.0)).split()[0])
    assert taken.count("late") == 3


def test_a_config_that_may_not_be_served_misses_its_turns() -> None:
    turns = filled({"a": [1.0] * 10, "b": [1.0] * 10})
    for _ in range(6):
        turns.take(lambda _: 1.0, lambda _: 1.0, lambda config: config != "a")
    rest = [str(turns.take(lambda _: 1.0, lambda _: 1.0)) for _ in range(4)]
    assert [name.split()[0] for name in rest] == ["a", "a", "b", "a"], "not six times"


def test_a_ticket_that_left_is_not_taken() -> None:
    turns = filled({"a": [1.0]})
    turns.leave("a", "a 0")
    assert turns.take(lambda _: 1.0, lambda _: 1.0) is None
