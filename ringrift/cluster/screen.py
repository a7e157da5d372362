"""Tables of generations, ratings and processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from ringrift.events.facts import Rating
from ringrift.insight.describe import table
from ringrift.insight.elo import elo_label, elo_text, unrated_note
from ringrift.insight.generations import ConfigView, Generation
from ringrift.insight.scores import Score
from ringrift.log.presence import Heartbeat

WIDE = 110
"""columns from which scores have their intervals"""


def generations_table(view: ConfigView, width: int = WIDE) -> Table:
    """One row per generation: its data, its scores, with their intervals if `width` columns have
    room for them, and its verdict with the reason."""
    numbers = (">gen", ">games", ">samples", ">loss", ">random", ">heuristic", ">Elo")
    rows = []
    for _, row in sorted(view.generations.items()):
        loss = None if row.loss is None else f"{row.loss:.3f}"
        scores = (score_text(row.scores.get(name), width) for name in ("random", "heuristic"))
        rating = view.rating_of(row.model)
        elo = elo_text(rating) if rating else None
        rows.append((row.number, row.games, row.samples, loss, *scores, elo, verdict_of(view, row)))
    title = f"{view.config}: generations ({elo_label(view.anchor)})"
    return table((*numbers, "verdict"), rows, title, plain=width < WIDE)


def ratings_table(
    config: str, ratings: Iterable[Rating], anchor: str | None, unrated: tuple[str, ...] = ()
) -> Table:
    """The Elo of every participant above the anchor, the strongest first; below it, who has
    none."""
    rows = ((row.participant, elo_text(row), row.games) for row in ratings)
    title = f"{config}: ratings ({elo_label(anchor)})"
    found = table(("participant", ">Elo", ">games"), rows, title)
    found.caption = unrated_note(unrated, anchor)
    return found


def consumers_table(heartbeats: Sequence[Heartbeat], tail: int) -> Table:
    """The running consumers, their activities, and their lag behind `tail` in events."""
    rows = []
    for beat in sorted(heartbeats, key=lambda beat: (beat.consumer, beat.instance)):
        lag = beat.behind(tail)
        rows.append((beat.consumer, beat.node, beat.doing, lag, beat.errors or None, beat.health))
    columns = ("consumer", "node", "doing", ">lag", ">errors", "health")
    return table(columns, rows, "consumers")


def verdict_of(view: ConfigView, row: Generation) -> str:
    """Return the verdict on a network with its reason, or what it waits for."""
    if row.promoted is not None:
        verdict = "promoted" if row.promoted else "rejected"
        return f"{verdict}{', tainted' if row.tainted else ''}: {row.why}"
    if row.evaluation_failed:
        return "evaluation failed"
    if row.model:
        return "in evaluation" if row.evaluating else "waits for an evaluator"
    return "training failed" if view.training_failed == row.number else "in training"


def score_text(score: Score | None, width: int) -> str:
    """A score, with its 95 % interval where there is room."""
    if score is None:
        return ""
    low, high = score.interval
    return f"{score.share:.1%} ({low:.0%}-{high:.0%})" if width >= WIDE else f"{score.share:.0%}"
