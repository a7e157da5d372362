"""With four evaluators or more no f of 3f + 1 decide a trial, by lies or by silence: the real
deciders on invented results."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import combinations

import pytest
from hypothesis import assume, given as for_all, settings as effort, strategies as st
from msgspec.structs import asdict, replace
from support.loop_facts import CONFIG, B, C, described, fresh, joined, promoted, registered, scored
from support.story import Story, settings_changed

from ringrift.deciders.loop import evaluation, promotion, split
from ringrift.deciders.loop.split import Results, combined, contradicted, liars_max
from ringrift.deciders.loop.verdict import First, judge, merged
from ringrift.events import Fact, facts as f
from ringrift.events.settings import EvaluationSettings, PromotionSettings, TrustSettings

CLASSES = (0.0, 0.25, 0.5, 0.75, 1.0)
ROUNDS_MAX = 40
Say = Callable[[int], tuple[tuple[float, int], ...]]
"""the scores that a node reports for so many starts"""


def constant(share: float) -> Say:
    """Report this share of starts as won, the others as lost."""

    def say(starts: int) -> tuple[tuple[float, int], ...]:
        won = round(share * starts)
        return tuple((score, count) for score, count in ((0.0, starts - won), (1.0, won)) if count)

    return say


class Trial:
    """The deciders that ask and judge, and the tickets that they asked for."""

    def __init__(self, nodes: int, *, first: bool = False, **changed: object) -> None:
        self.nodes = [f"n{number}" for number in range(nodes)]
        self.asking, self.judging = Story(evaluation.DECIDER), Story(promotion.DECIDER)
        self.tickets: list[f.EvaluationRequested] = []
        self.decided: list[Fact] = []
        self.put(settings_changed(**changed))
        for node in self.nodes:
            self.put(joined(node))
            self.put(described(node))
        if not first:
            self.put(registered(B))
            self.put(promoted(B))
        self.tickets.clear()
        self.put(registered(C, generation=2))

    def put(self, fact: Fact, by: Story | None = None) -> None:
        """Record a fact and all decisions on it."""
        self.decided.append(fact)
        if isinstance(fact, f.EvaluationRequested):
            self.tickets.append(fact)
        stories = [story for story in (self.asking, self.judging) if story is not by]
        for decision, story in [(one, it) for it in stories for one in it.when(fact).decided]:
            self.put(decision, story)

    def all(self, kind: type[Fact]) -> list[Fact]:
        return [fact for fact in self.decided if isinstance(fact, kind)]

    def taken(self) -> list[f.EvaluationRequested]:
        """The tickets on the queue that judge the candidate."""
        purpose = "random" if self.judging.state.configs[CONFIG].current is None else "promotion"
        found = [ticket for ticket in self.tickets if ticket.purpose == purpose]
        self.tickets = []
        return found

    def answer(self, ticket: f.EvaluationRequested, node: str, say: Say) -> None:
        """Let a node report a score for a ticket."""
        scores = say(ticket.starts)
        games = 2 * sum(count for _, count in scores)
        fact = replace(
            scored(ticket.purpose, 1, 0, model=C, round_=ticket.round),
            ticket=fresh(),
            node=node,
            scores=scores,
            games=games,
            wins=0.0,
            rankings=(),
        )
        self.put(fact)
        if self.asking.in_force.settings.recounts and self.verdict() is None:
            self.put(f.EvaluationRecounted(**asdict(fact)))

    def verdict(self) -> Fact | None:
        found = [
            fact
            for fact in self.decided
            if isinstance(fact, f.ModelPromoted | f.PromotionRejected) and fact.model == C
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def play(self, says: dict[str, Say]) -> Fact | None:
        """Give the tickets of each round to different nodes until there is a verdict; a node that
        says nothing keeps the first one that it takes."""
        busy = set[str]()
        for round_ in range(ROUNDS_MAX):
            tickets = self.taken()
            free = [node for node in self.nodes if node not in busy]
            free = free[round_ % len(free) :] + free[: round_ % len(free)]
            for number, ticket in enumerate(tickets):
                node = free[number % len(free)]
                if node in says and self.verdict() is None:
                    self.answer(ticket, node, says[node])
                elif node not in says:
                    busy.add(node)
            if self.verdict() or not tickets:
                break
        return self.verdict()


def sets(nodes: list[str]) -> Iterator[tuple[str, ...]]:
    """Some sets of as many nodes as may lie."""
    yield from list(combinations(nodes, liars_max(len(nodes))))[:6]


def test_with_three_evaluators_a_round_is_one_ticket_and_the_promotion_unattested() -> None:
    trial = Trial(3)
    (ticket,) = trial.taken()
    assert (ticket.split, ticket.starts) == (0, 32)
    trial.answer(ticket, "n0", constant(1.0))
    (fact,) = trial.all(f.ModelPromoted)[1:]
    assert fact.why.endswith("; unattested: fewer than 4 evaluators")
    assert (fact.evidence.evaluators, fact.evidence.liars_max) == (("n0",), 0)


def test_with_four_each_plays_a_part_and_the_promotion_says_so() -> None:
    trial = Trial(4)
    tickets = trial.taken()
    assert [(ticket.split, ticket.starts, ticket.round) for ticket in tickets] == [
        (4, 11, number) for number in range(4)
    ]
    assert len({ticket.seed for ticket in tickets}) == 4
    for ticket, node in zip(tickets, trial.nodes, strict=True):
        if trial.verdict() is None:
            trial.answer(ticket, node, constant(1.0))
    fact = trial.verdict()
    assert isinstance(fact, f.ModelPromoted)
    assert fact.why.endswith("; the same without any 1 of 4 evaluators")
    assert (fact.evidence.evaluators, fact.evidence.liars_max) == (tuple(trial.nodes), 1)


@pytest.mark.parametrize(("nodes", "tickets"), [(3, 0), (4, 4), (6, 4), (7, 7), (9, 7), (40, 10)])
def test_a_round_has_the_largest_3f_plus_1_tickets(nodes: int, tickets: int) -> None:
    assert split.tickets_of_round(nodes, 10) == tickets
    assert liars_max(tickets) == max(tickets - 1, 0) // 3


def test_only_present_evaluators_count() -> None:
    trial = Trial(4)
    trial.tickets.clear()
    assert trial.asking.state.tickets(trial.asking.in_force.settings) == 4
    for fact, back in (
        (joined("n1", present=False), joined("n1")),
        (
            f.NodeQuarantined(node="n1", clean_seq=0, evidence=0.0, games=0, why="w"),
            f.NodeReleased(node="n1", why="w"),
        ),
        (
            f.NodeAssigned(
                node="n1", kinds=("selfplay",), ticket_seconds=9.0, why="w", settings_version=1
            ),
            f.NodeAssigned(
                node="n1", kinds=("evaluation",), ticket_seconds=9.0, why="w", settings_version=1
            ),
        ),
    ):
        trial.put(fact)
        assert trial.asking.state.tickets(trial.asking.in_force.settings) == 0
        trial.put(back)
        assert trial.asking.state.tickets(trial.asking.in_force.settings) == 4


@pytest.mark.parametrize("nodes", [4, 7])
@pytest.mark.parametrize("share", [0.2, 0.8])
@pytest.mark.parametrize("lie", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("first", [False, True])
def test_f_liars_neither_turn_nor_keep_a_clear_verdict(
    nodes: int, share: float, lie: float, first: bool
) -> None:
    for liars in sets([f"n{number}" for number in range(nodes)]):
        trial = Trial(nodes, first=first, evaluation=EvaluationSettings(evaluators=nodes))
        says = {node: constant(lie if node in liars else share) for node in trial.nodes}
        assert isinstance(trial.play(says), f.ModelPromoted if share > 0.5 else f.PromotionRejected)
        assert {fact.node for fact in trial.all(f.EvaluatorContradicted)} <= set(liars)


@effort(max_examples=40, deadline=None)
@for_all(data=st.data(), share=st.sampled_from([0.1, 0.9]), nodes=st.sampled_from([4, 7]))
def test_whatever_f_liars_say_and_however_often_they_do_not_decide(
    data: st.DataObject, share: float, nodes: int
) -> None:
    """Any node takes any ticket, and a liar may answer several and invent more."""
    trial = Trial(nodes, evaluation=EvaluationSettings(evaluators=nodes))
    liars = set(trial.nodes[: liars_max(nodes)])

    def lies(starts: int) -> tuple[tuple[float, int], ...]:
        counts = data.draw(
            st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 200), min_size=1)
        )
        return tuple(sorted(counts.items()))

    for _ in range(4):
        for ticket in trial.taken():
            node = data.draw(st.sampled_from(trial.nodes))
            trial.answer(ticket, node, lies if node in liars else constant(share))
            if trial.verdict():
                break
            invented = data.draw(st.integers(0, 2))
            for _ in range(invented):
                if trial.verdict() is None:
                    trial.answer(ticket, next(iter(liars)), lies)
        if trial.verdict():
            break
    wrong = f.PromotionRejected if share > 0.5 else f.ModelPromoted
    assert not isinstance(trial.verdict(), wrong)


@pytest.mark.parametrize("nodes", [4, 7])
@pytest.mark.parametrize("first", [False, True])
def test_f_silent_nodes_do_not_stop_a_trial(nodes: int, first: bool) -> None:
    for silent in sets([f"n{number}" for number in range(nodes)]):
        trial = Trial(nodes, first=first, evaluation=EvaluationSettings(evaluators=nodes))
        says = {node: constant(0.75) for node in trial.nodes if node not in silent}
        assert isinstance(trial.play(says), f.ModelPromoted)


def test_more_than_f_silent_ones_do_without_wasting_games() -> None:
    """The others play no more than a round each half hour once they played enough."""
    trial = Trial(4)
    trial.asking.after(seconds=60.0)
    for _ in range(ROUNDS_MAX):
        for number, ticket in enumerate(trial.taken()):
            trial.answer(ticket, f"n{number % 2}", constant(0.75))
    played = sum(
        one.starts for one in trial.asking.state.configs[CONFIG].trials[C].results.values()
    )
    assert 256 <= played <= 256 + 3 * 44
    assert trial.verdict() is None
    assert trial.taken() == []
    trial.asking.after(seconds=1800.0 - trial.asking.now.timestamp() % 1800.0)
    trial.put(f.TickRecorded(minute=1))
    tickets = trial.taken()
    assert len(tickets) == 4
    for ticket, node in zip(tickets, ("n0", "n1", "n2", "n3"), strict=True):
        if trial.verdict() is None:
            trial.answer(ticket, node, constant(0.75))
    assert isinstance(trial.verdict(), f.ModelPromoted)


histogram = st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 60), min_size=1, max_size=3)


@effort(max_examples=120, deadline=None)
@for_all(
    results=st.lists(histogram, min_size=1, max_size=9),
    tickets=st.sampled_from([4, 7]),
    first=st.sampled_from(["", "random", "heuristic"]),
)
def test_a_verdict_is_that_of_the_honest_alone(
    results: list[dict[float, int]], tickets: int, first: First
) -> None:
    settings = PromotionSettings()
    known = {
        f"n{number}": Results(scores=tuple(sorted(one.items())), games=2 * sum(one.values()))
        for number, one in enumerate(results)
    }
    verdict, evidence, why = combined(known, tickets, settings, first=first, config=CONFIG)
    assume(verdict != "open")
    at_cap = "median" in why
    counted = list(known) if at_cap else list(evidence.evaluators)
    groups = [counted[number::tickets] for number in range(tickets)]
    for liars in combinations(groups, liars_max(tickets)):
        honest = [known[node] for group in groups if group not in liars for node in group]
        if at_cap:
            assert min(one.score for one in honest) < settings.score_at_cap or verdict == "promote"
            assert max(one.score for one in honest) >= settings.score_at_cap or verdict == "reject"
            continue
        scores: tuple[tuple[float, int], ...] = ()
        for one in honest:
            scores = merged(scores, one.scores)
        assert judge(scores, 1, settings, first=first, config=CONFIG)[0] == verdict


def test_a_liar_is_named_once_and_its_results_are_left_out() -> None:
    trial = Trial(4, promotion=PromotionSettings(elo0=-1.0, elo1=1.0, starts_max=200))
    says = {node: constant(0.0 if node == "n2" else 0.55) for node in trial.nodes}
    fact = trial.play(says)
    assert isinstance(fact, f.ModelPromoted)
    (named,) = trial.all(f.EvaluatorContradicted)
    assert (named.node, named.model, named.score) == ("n2", C, 0.0)
    assert len(named.others) >= 2
    assert "n2" not in fact.evidence.evaluators
    assert fact.evidence.score > 0.5


def test_an_honest_node_is_named_in_less_than_one_trial_of_a_thousand() -> None:
    draw, named = random.Random(1), 0
    for _ in range(3_000):
        strength, known = draw.uniform(0.2, 0.8), {}
        for node in ("n0", "n1", "n2", "n3"):
            scores: tuple[tuple[float, int], ...] = ()
            for _ in range(22):  # a start that one player always wins varies most
                scores = merged(scores, ((float(draw.random() < strength), 1),))
            known[node] = Results(scores=scores, games=44)
        named += bool(contradicted(known, 4))
    assert named <= 2


def test_a_failure_rejects_only_on_more_nodes_than_may_lie() -> None:
    trial = Trial(4)

    def fails(node: str) -> None:
        trial.put(
            f.EvaluationFailed(
                config=CONFIG,
                generation=2,
                ticket=fresh(),
                candidate_model=C,
                purpose="promotion",
                reason="r",
                node=node,
            )
        )

    fails("n0")
    fails("n0")
    assert trial.verdict() is None
    fails("n1")
    assert isinstance(trial.verdict(), f.PromotionRejected)


@pytest.mark.parametrize(("nodes", "verdict"), [(3, f.PromotionRejected), (4, f.ModelPromoted)])
def test_the_operator_may_forbid_unattested_promotions(nodes: int, verdict: type[Fact]) -> None:
    trial = Trial(nodes, trust=TrustSettings(required=True))
    fact = trial.play({node: constant(0.9) for node in trial.nodes})
    assert isinstance(fact, verdict)
    if nodes == 3:
        assert "unattested" in fact.why
        assert "trust.required" in fact.why


def test_then_only_recounted_scores_count() -> None:
    trial = Trial(4, trust=TrustSettings(required=True))
    for ticket, node in zip(trial.taken(), trial.nodes, strict=True):
        fact = replace(
            scored("promotion", ticket.starts, 0, model=C, round_=ticket.round),
            ticket=fresh(),
            node=node,
        )
        trial.put(fact)
    assert trial.verdict() is None
    assert trial.taken() == []


def test_a_trial_goes_on_when_evaluators_leave() -> None:
    trial = Trial(4)
    tickets = trial.taken()
    trial.answer(tickets[0], "n0", constant(0.6))
    for node in ("n1", "n2", "n3"):
        trial.put(joined(node, present=False))
    for ticket in tickets[1:]:  # delivered to the one that is left
        if trial.verdict() is None:
            trial.answer(ticket, "n0", constant(0.6))
    trial.nodes = ["n0"]
    assert trial.play({"n0": constant(0.6)}) is not None


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "promote"), (0.5, "reject")])
def test_a_network_of_another_config_is_judged_after_few_starts(share: float, verdict: str) -> None:
    four = {f"n{number}": Results(scores=constant(share)(8), games=16) for number in range(4)}
    found, _, _ = combined(four, 4, PromotionSettings(), first="heuristic", config=CONFIG)
    assert found == verdict
    few = {node: Results(scores=constant(0.5)(4), games=8) for node in four}
    assert combined(few, 4, PromotionSettings(), first="heuristic", config=CONFIG)[0] == "open"


@pytest.mark.parametrize("first", ["random", "heuristic"])
def test_a_first_network_about_which_evaluators_disagree_is_not_promoted(first: First) -> None:
    shares = {"n0": 0.72, "n1": 0.6, "n2": 0.5, "n3": 0.5}
    found = {node: Results(scores=constant(share)(30), games=60) for node, share in shares.items()}
    verdict, _, why = combined(found, 4, PromotionSettings(), first=first, config=CONFIG)
    assert (verdict, "the median of 4 evaluators" in why) == ("reject", True)
