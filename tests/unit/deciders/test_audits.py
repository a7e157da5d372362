"""The test over the audits of a node, and what follows from its verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ringrift.deciders.fleet import assignment
from ringrift.deciders.fleet.audits import CONVICTING, DECIDER, DIFFERED, Audits
from ringrift.deciders.kit import Context
from ringrift.deciders.loop import evaluation, promotion
from ringrift.events import EventMeta, Fact, Settings, facts as f
from ringrift.events.settings import EvaluationSettings

TIME = datetime(2026, 11, 30, tzinfo=UTC)
PRESENT = f.NodePresenceChanged(
    node="liar", present=True, left=False, silent_seconds=0.0, processes=1
)


class Life:
    """A decider, its state and its decisions."""

    def __init__(self, decider: Any = DECIDER, settings: Settings = Settings()) -> None:  # noqa: B008
        self.decider, self.state, self.settings = decider, decider.initial(), settings
        self.decided: list[Fact] = []
        self.seq, self.author, self.time = 0, "test", TIME

    def take(self, *facts: Fact) -> list[Fact]:
        for fact in facts:
            self.seq += 1
            meta = EventMeta("EVENTS", self.seq, "", str(self.seq), self.author, self.time, None)
            base = Context.of(meta)
            context = Context(
                **{name: getattr(base, name) for name in base.__struct_fields__}
                | {"settings": self.settings}
            )
            self.state = self.decider.evolve(self.state, fact, context)
            found = self.decider.decide(self.state, fact, context)
            for one in found:
                self.state = self.decider.evolve(self.state, one, context)
            self.decided += found
        return self.decided


def audit(
    node: str = "liar", last: int = 100, auditor: str = "n9", **found: Any
) -> f.AuditFinished:
    fields = {"first_seq": 1, "games": 10, "decisions": 10, **found}
    one = f.NodeAudit(node=node, **fields)
    return f.AuditFinished(
        node=auditor,
        head="EVENTS/1",
        first_seq=1,
        last_seq=last,
        found=(one,),
        skipped=0,
        search_seconds=1.0,
    )


def names(count: int) -> tuple[str, ...]:
    return tuple(f"game-{number}" for number in range(count))


def test_a_clean_audit_moves_the_place_up_to_which_a_node_is_clean() -> None:
    life = Life()
    life.take(audit(last=100), audit(last=200, differing=names(1)), audit(last=300))
    record = life.state.nodes["liar"]
    assert (record.clean_seq, record.audited_seq, record.games) == (100, 300, 30)
    assert 0 < record.evidence < DIFFERED


def test_enough_failing_games_convict_once_and_name_where_the_node_was_clean() -> None:
    life = Life()
    life.take(audit(last=100), *(audit(last=200, differing=names(3)) for _ in range(5)))
    (quarantine,) = life.decided
    assert isinstance(quarantine, f.NodeQuarantined)
    assert (quarantine.node, quarantine.clean_seq) == ("liar", 100)
    assert quarantine.evidence * 1000 >= CONVICTING
    assert "game-0" in quarantine.why


def test_three_broken_games_convict() -> None:
    assert Life().take(audit(broken=names(2))) == []
    assert len(Life().take(audit(broken=names(3)))) == 1


def test_an_auditor_says_nothing_about_itself_and_a_quarantined_one_about_nobody() -> None:
    life = Life()
    assert life.take(audit(node="n9", broken=names(9))) == []
    life.take(audit(node="n9", auditor="n8", broken=names(9)))
    assert len(life.take(audit(broken=names(9)))) == 1
    assert "liar" not in life.state.nodes


def test_a_released_node_starts_again() -> None:
    life = Life()
    life.take(audit(last=100, broken=names(3)), f.NodeReleased(node="liar", why="repaired"))
    record = life.state.nodes["liar"]
    assert (record.quarantined, record.evidence, record.clean_seq) == (False, 0, 100)
    life.take(audit(last=200, broken=names(3)))
    assert len(life.decided) == 2


def test_a_proof_convicts_at_once() -> None:
    proof = f.EquivocationProven(
        node="liar", first="EVENTS/1", second="EVENTS/2", why="two heads", bodies=("a", "b")
    )
    (quarantine,) = Life().take(proof, proof)
    assert isinstance(quarantine, f.NodeQuarantined)
    assert "two heads" in quarantine.why


def test_where_another_node_audits_it_must_confirm() -> None:
    life = Life()
    life.take(audit(node="honest", auditor="n8"))
    assert life.take(*(audit(broken=names(5)) for _ in range(5))) == []
    assert life.take(audit(auditor="n8", differing=names(1))) == []
    (fact,) = life.take(audit(auditor="n8", last=120, differing=names(1)))
    assert isinstance(fact, f.NodeQuarantined)


def test_passing_audits_of_the_second_withdraw_its_findings() -> None:
    life = Life()
    life.take(audit(auditor="n8", broken=names(1)), *(audit(auditor="n8") for _ in range(60)))
    assert life.take(*(audit(broken=names(5)) for _ in range(5))) == []
    assert life.state.nodes["liar"].by.keys() == {"n9"}


def test_an_auditor_that_was_not_heard_of_for_a_day_confirms_nothing() -> None:
    life = Life()
    life.take(audit(node="honest", auditor="n8"))
    life.time += timedelta(days=2)
    assert len(life.take(audit(broken=names(3)))) == 1


def disputes(life: Life, author: str, *nodes: str, promotion: int = 9) -> list[Fact]:
    """Let a coordinator write disputes under some names."""
    before, life.author = len(life.decided), f"verifier@{author}"
    for node in nodes:
        life.take(
            f.PromotionDisputed(
                config="hex8_2p",
                node=node,
                model="a" * 64,
                promotion=promotion,
                proposer="promoter@c1",
            )
        )
    return life.decided[before:]


def coordinators(count: int) -> Life:
    life = Life()
    for number in range(1, count + 1):
        key = "U" + "AB"[number % 2] * 54 + "ABCDEFGH"[number]
        admitted = f.NodeAdmitted(node=f"c{number}", key=key, roles=("coordinator",), why="w")
        life.take(admitted)
    return life


def test_the_author_of_a_promotion_that_more_than_f_dispute_is_quarantined_once() -> None:
    life = coordinators(4)
    assert disputes(life, "c2", "c2") == []
    (fact,) = disputes(life, "c3", "c3")
    assert isinstance(fact, f.NodeQuarantined)
    assert fact.node == "c1"
    assert "EVENTS/9 does not follow from the log, as c2, c3 derive it" in fact.why
    assert disputes(life, "c4", "c4") == []


def test_f_liars_convict_nobody_by_disputes() -> None:
    life = coordinators(4)
    assert disputes(life, "c2", "c2", "c3", "c4", "x") == []
    assert disputes(life, "c3", "c3", promotion=10) == []
    three = coordinators(3)  # where none may lie
    assert [*disputes(three, "c2", "c2"), *disputes(three, "c3", "c3")] == []


def refuted(*, forged: bool, purpose: f.Purpose = "promotion") -> f.EvaluationRefuted:
    return f.EvaluationRefuted(
        config="hex8_2p",
        generation=1,
        ticket="evaluation-events-1",
        node="liar",
        candidate_model="c" * 64,
        purpose=purpose,
        score="EVENTS/9",
        forged=forged,
        reason="its games give other wins",
    )


def test_only_a_forged_score_convicts_its_evaluator() -> None:
    assert Life().take(refuted(forged=False)) == []
    assert len(Life().take(refuted(forged=True))) == 1


def test_a_quarantined_node_is_assigned_nothing_until_it_is_released() -> None:
    life = Life(assignment.DECIDER)
    node = f.NodeRegistered(
        node="liar", provider="p", accelerator="a", vram_gib=8.0, cost_per_hour=1.0
    )
    life.take(node, PRESENT)
    quarantine = f.NodeQuarantined(node="liar", clean_seq=0, evidence=0, games=0, why="it lied")
    life.take(quarantine, f.NodeReleased(node="liar", why="repaired"))
    kinds = [(one.kinds, one.why) for one in life.decided if isinstance(one, f.NodeAssigned)]
    assert kinds[-2] == ((), "quarantined")
    assert kinds[-1][0]


RECOUNT = Settings(evaluation=EvaluationSettings(recount=True))


def registered() -> f.ModelRegistered:
    return f.ModelRegistered(
        config="hex8_2p",
        model="c" * 64,
        generation=1,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="training-events-1",
    )


def score(kind: Any = f.EvaluationScored) -> Any:
    return kind(
        config="hex8_2p",
        generation=1,
        ticket="evaluation-events-1",
        node="n",
        candidate="c" * 12 + ":gumbel:s32",
        candidate_model="c" * 64,
        opponent="baseline:random:s0",
        purpose="random",
        round=0,
        games=96,
        wins=96.0,
        scores=((1.0, 48),),
        rankings=(),
        play_seconds=1.0,
    )


def test_a_score_promotes_only_once_it_was_recounted() -> None:
    life = Life(promotion.DECIDER, RECOUNT)
    assert life.take(registered(), score()) == []
    (promoted,) = life.take(score(f.EvaluationRecounted))
    assert isinstance(promoted, f.ModelPromoted)
    assert len(Life(promotion.DECIDER).take(registered(), score())) == 1


def test_a_refuted_match_is_requested_again() -> None:
    life = Life(evaluation.DECIDER, RECOUNT)
    life.take(registered())
    before = len(life.decided)
    assert before == 2
    life.take(score(), refuted(forged=True, purpose="random"))
    assert len(life.decided) == 4


def test_the_state_of_the_test_can_be_stored() -> None:
    assert Audits().nodes == {}
