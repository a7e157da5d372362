"""The card of a network: the contents of its checkpoint, and its history in the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct
from rich.table import Table

from ringrift.events import facts
from ringrift.insight.describe import field_text, shorts, table
from ringrift.insight.elo import elo_label, elo_text
from ringrift.insight.models.model_history import VERDICTS, ModelHistory, TrainingGames, TrainingRun
from ringrift.learning.families import checkpoint_of
from ringrift.nets.checkpoint import Checkpoint
from ringrift.nets.header import Header


class Ancestor(Struct, frozen=True):
    """A network that this one started from; only its digest is known if it is not in the log."""

    model: str
    config: str | None
    generation: int | None
    architecture: str | None
    promoted: bool | None

    @classmethod
    def of(cls, model: str, history: ModelHistory) -> Ancestor:
        """Return what the log knows about a network."""
        made = history.made[model].event if model in history.made else None
        names = ("config", "generation", "architecture")
        config, generation, architecture = (getattr(made, name, None) for name in names)
        return cls(model, config, generation, architecture, history.promoted(model))


class Elsewhere(Struct, frozen=True, kw_only=True):
    """A network in a config that adopted it."""

    config: str
    state: str
    ratings: tuple[facts.Rating, ...]
    anchor: str | None


class Card(Struct, frozen=True, kw_only=True):
    """One network. What the log does not know is empty."""

    model: str
    size_bytes: int
    parameters: int
    header: Header
    lineage: tuple[Ancestor, ...]
    children: tuple[str, ...]
    training: TrainingRun | None
    games: TrainingGames | None
    scores: dict[str, dict[str, Any]]
    ratings: tuple[facts.Rating, ...]
    anchor: str | None
    elsewhere: tuple[Elsewhere, ...]
    promoted: bool | None
    why: str


def card_of(model: str, data: bytes, history: ModelHistory) -> Card:
    """Return the card of the network with these bytes. Raises CheckpointError."""
    checkpoint = checkpoint_of(data)
    verdict = history.verdicts.get(model)
    ancestors = history.ancestors(checkpoint.header.parents)
    scores = history.scores.get(model, {})
    made = history.made.get(model)
    # a network of several configs has the largest board first in its header
    home = made.event.config if made else checkpoint.header.config_key
    return Card(
        model=model,
        size_bytes=len(data),
        parameters=weights(checkpoint),
        header=checkpoint.header,
        lineage=tuple(Ancestor.of(name, history) for name in ancestors),
        children=history.children(model),
        training=history.training(model),
        games=history.games(model),
        scores={purpose: score.document() for purpose, score in scores.items()},
        ratings=history.ratings(model, home),
        anchor=history.anchor(home),
        elsewhere=tuple(
            Elsewhere(
                config=config,
                state=state,
                ratings=history.ratings(model, config),
                anchor=history.anchor(config),
            )
            for config, state in history.elsewhere(model).items()
        ),
        promoted=history.promoted(model),
        why=verdict.event.why if verdict else "",
    )


def weights(checkpoint: Checkpoint[Any]) -> int:
    """Return the number of weights."""
    return sum(array.size for array in checkpoint.weights.values())


def card_texts(card: Card) -> Iterator[Table | str]:
    """Yield the card as text."""
    yield table(("", ""), (*_header_rows(card), *_log_rows(card)), plain=True)
    for item in card.lineage:
        generation = None if item.generation is None else f"generation {item.generation}"
        what = (field_text(item.model), item.architecture, item.config, generation)
        yield "  from " + " ".join(filter(None, (*what, VERDICTS[item.promoted])))


def _header_rows(card: Card) -> Iterator[tuple[str, str]]:
    header = card.header
    shape = ", ".join(f"{name} {number}" for name, number in header.shape.items())
    yield "model", card.model
    yield "config", ", ".join(header.configs) or header.config_key
    yield "architecture", f"{header.architecture}: {shape}"
    yield "parameters", f"{card.parameters:,} in {card.size_bytes:,} bytes"
    yield "made for", f"encoder {header.encoder}, rules version {header.rules_version}"
    yield from ((name, field_text(text)) for name, text in header.notes.items())


def _log_rows(card: Card) -> Iterator[tuple[str, str]]:
    if card.training:
        asked, run = card.training.request, card.training.finished
        what = f"{run.steps:,} steps on {run.samples:,} samples in {run.train_seconds:.0f} s"
        yield "training", f"generation {asked.generation}: {what}"
        losses = f"policy {run.policy_loss:.4f}, value {run.value_loss:.4f}"
        if run.validation_loss is not None:
            losses = f"{losses}, validation {run.validation_loss:.4f}"
        yield "loss", f"{run.loss:.4f} ({losses})"
        device = card.training.device or "device unknown"
        yield "where", f"{run.node}, {device}; seed {asked.seed}, settings {asked.settings_version}"
    if games := card.games:
        span = f"GAMES {games.first_seq} to {games.last_seq}"
        yield "games", f"{games.games:,} of {games.shards} shards, {span}"
    for purpose, score in card.scores.items():
        low, high = score["interval_95"]
        interval = f"({low:.1%} to {high:.1%})"
        yield f"score, {purpose}", f"{score['share']:.1%} of {score['games']} games {interval}"
    yield from _rating_rows(card.ratings, card.anchor)
    if card.promoted is not None:
        yield "verdict", f"{VERDICTS[card.promoted]}: {card.why}"
    for item in card.elsewhere:
        yield f"in {item.config}", item.state
        yield from _rating_rows(item.ratings, item.anchor)
    if card.children:
        yield "parent of", shorts(card.children)


def _rating_rows(ratings: Iterable[facts.Rating], anchor: str | None) -> Iterator[tuple[str, str]]:
    for row in ratings:
        who = f"as {row.participant}, {row.games:,} games"
        yield "rating", f"{elo_text(row)} ({elo_label(anchor)}) {who}"
