"""A short run of one config decides the same with and without feedback: the demo is neither held
back nor changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from support.story import START, Story

from ringrift.deciders.feedback import (
    architectures,
    curriculum,
    exploration,
    loss,
    quality,
    regression,
    scheduling,
    tuning,
    velocity,
)
from ringrift.deciders.kit import Decider
from ringrift.deciders.loop import evaluation, promotion, rating as elo, selfplay, training
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    AllocationDecided,
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    PromotionRejected,
    QualityAssessed,
    Ranking,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    ShardSummary,
    TickRecorded,
    TrainingFinished,
    TrainingRequested,
    VelocityChanged,
)
from ringrift.events.settings import EvaluationSettings

LOOP = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER)
FEEDBACK = (
    loss.DECIDER,
    quality.DECIDER,
    velocity.DECIDER,
    regression.DECIDER,
    exploration.DECIDER,
    curriculum.DECIDER,
    scheduling.DECIDER,
    architectures.DECIDER,
    tuning.DECIDER,
)
DECISIONS = (
    SelfplayPlanned,
    TrainingRequested,
    EvaluationRequested,
    ModelPromoted,
    PromotionRejected,
)


class Run:
    """Deciders over one log, with workers that answer every request at once and a clock that ticks
    every minute of it."""

    def __init__(self, deciders: tuple[Decider[Any], ...], ticks: bool) -> None:
        self.lives, self.ticks = [Story(decider) for decider in deciders], ticks
        self.log: list[Fact] = []
        self.unexported = 0
        self.now = START

    def write(self, *facts: Fact) -> None:
        """Put facts on the log and everything that follows from them."""
        waiting = list(facts)
        while waiting:
            event = waiting.pop(0)
            self.log.append(event)
            for life in self.lives:
                life.now = self.now
                if type(event) not in life.decider.writes:
                    waiting += life.when(event).decided
            self.now += timedelta(seconds=2)
            waiting += self._work(event)

    def _work(self, event: Fact) -> list[Fact]:
        tick = (
            [TickRecorded(minute=len(self.log))]
            if self.ticks and not isinstance(event, TickRecorded)
            else []
        )
        match event:
            case SelfplayPlanned():
                self.unexported += event.games
                shards, self.unexported = divmod(self.unexported, 64)
                return [*tick, *_play(event, shards)]
            case TrainingRequested():
                return [*tick, *_train(event)]
            case EvaluationRequested():
                return [*tick, *_measure(event)]
        return []


def _play(plan: SelfplayPlanned, count: int) -> list[Fact]:
    shards: list[Fact] = []
    for index in range(count):
        summary = ShardSummary(
            games=64,
            wins=(33, 31),
            plies=64 * 150,
            plies_squared=64 * 150**2 + 64 * 900,
            openings=64,
            participants=(f"{(plan.model or 'none')[:12]}:gumbel:s32",),
            decisions=64 * 60,
            agreed=64 * 38,
        )
        shards.append(
            ShardExported(
                config=plan.config,
                encoder="e",
                index=index,
                first_seq=1,
                last_seq=64,
                games=64,
                samples=64 * 60,
                rejected=0,
                digest=f"{plan.generation * 1000 + plan.spare * 100 + index:064x}",
                size_bytes=1,
                summary=summary,
            )
        )
    done = SelfplayFinished(
        config=plan.config,
        generation=plan.generation,
        spare=plan.spare,
        ticket=f"plan-{plan.seed}",
        games=plan.games,
        plies=1,
        play_seconds=1.0,
        node="n",
    )
    return [*shards, done]


def _train(request: TrainingRequested) -> list[Fact]:
    model = f"{request.generation:x}" * 64
    shared = {"config": request.config, "generation": request.generation, "ticket": "t"}
    return [
        TrainingFinished(
            **shared,
            model=model,
            steps=1,
            samples=1,
            loss=3.0 / request.generation,
            policy_loss=1.0,
            value_loss=1.0,
            validation_loss=None,
            train_seconds=40.0,
            node="n",
        ),
        ModelRegistered(
            **shared, model=model, architecture="v2-micro", encoder="e", parameters=1, parents=()
        ),
    ]


def _measure(request: EvaluationRequested) -> list[Fact]:
    """Generations 1 and 2 are stronger than their opponents, generation 3 is weaker; the games are
    exported, without samples."""
    won = request.purpose != "promotion" or request.generation < 3
    wins, losses = (request.starts - 4, 4) if won else (4, request.starts - 4)
    names = (request.candidate.participant, request.opponent.participant)
    rankings = tuple(
        Ranking(order=order, ranks=(1, 2), count=2 * count)
        for order, count in ((names, wins), (names[::-1], losses))
    )
    score = EvaluationScored(
        config=request.config,
        generation=request.generation,
        ticket=f"match-{request.seed}",
        candidate=names[0],
        opponent=names[1],
        candidate_model=request.candidate.model,
        purpose=request.purpose,
        round=request.round,
        games=2 * request.starts,
        wins=2.0 * wins,
        scores=((0.0, losses), (1.0, wins)),
        rankings=rankings,
        play_seconds=1.0,
        node="n",
    )
    shard = ShardExported(
        config=request.config,
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=2 * request.starts,
        games=2 * request.starts,
        samples=0,
        rejected=0,
        digest="0" * 64,
        size_bytes=1,
    )
    return [shard, score]


def run(deciders: tuple[Decider[Any], ...], ticks: bool) -> list[Fact]:
    """The log of three generations."""
    life = Run(deciders, ticks)
    # tournaments are scheduled by ticks
    settings = Settings(generations=3, evaluation=EvaluationSettings(tournament_share=0.0))
    life.write(SettingsChanged(version=1, settings=settings, why="test"))
    return life.log


def test_feedback_changes_nothing_in_a_fresh_run_of_one_config() -> None:
    with_it, without = run((*LOOP, *FEEDBACK), ticks=True), run(LOOP, ticks=False)

    def decided(log: list[Fact]) -> dict[str, list[Fact]]:
        return {
            kind.__name__: [fact for fact in log if isinstance(fact, kind)] for kind in DECISIONS
        }

    assert decided(with_it) == decided(without)
    plans = [fact for fact in decided(without)["SelfplayPlanned"] if not fact.spare]
    assert [fact.generation for fact in plans] == [0, 1, 2]
    assert len(decided(without)["PromotionRejected"]) == 1


def test_feedback_records_its_findings() -> None:
    kinds = {type(fact) for fact in run((*LOOP, *FEEDBACK), ticks=True)}
    assert {QualityAssessed, VelocityChanged, AllocationDecided} <= kinds


def test_the_same_facts_give_the_same_log() -> None:
    assert run((*LOOP, *FEEDBACK), ticks=True) == run((*LOOP, *FEEDBACK), ticks=True)
