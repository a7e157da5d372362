"""What each architecture of a config has reached: networks, games, strength, hours of training, and
its share of the trainings."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from rich.table import Table

from ringrift.events import facts
from ringrift.insight.describe import table
from ringrift.insight.models.model_history import ModelHistory


class ArchitectureRecord(Struct, frozen=True, kw_only=True):
    """One architecture. Elo is that of networks as they have played most; None if none is rated.

    games    rated ones of its networks
    hours    of the trainings of its networks
    share    of future trainings, None unless architectures compete"""

    architecture: str
    networks: int
    games: int
    elo_mean: float | None
    elo_best: float | None
    hours: float
    share: float | None


def records(history: ModelHistory, config: str) -> list[ArchitectureRecord]:
    """Return the architectures of a config that have networks, in the order of their first."""
    models: dict[str, list[str]] = {}
    for made, _ in history.made.values():
        if made.config == config:
            models.setdefault(made.architecture, []).append(made.model)
    decided = history.history.all(facts.ArchitectureSharesDecided)
    shares: dict[str, float] = {}
    for item in decided:
        shares = item.event.shares if item.event.config == config else shares
    return [
        _record(name, config, found, history, shares.get(name)) for name, found in models.items()
    ]


def _record(
    name: str, config: str, models: Sequence[str], history: ModelHistory, share: float | None
) -> ArchitectureRecord:
    rows = [history.ratings(model, config) for model in models]
    elos = [max(one, key=lambda row: row.games).elo for one in rows if one]
    runs = [run for model in models if (run := history.training(model))]
    return ArchitectureRecord(
        architecture=name,
        networks=len(models),
        games=sum(row.games for one in rows for row in one),
        elo_mean=sum(elos) / len(elos) if elos else None,
        elo_best=max(elos, default=None),
        hours=sum(run.finished.train_seconds for run in runs) / 3600.0,
        share=share,
    )


def records_table(found: Sequence[ArchitectureRecord]) -> Table | str:
    """Return the records as text."""
    if not found:
        return "no networks of this config in the log"
    rows = [
        (
            row.architecture,
            row.networks,
            row.games,
            *(None if elo is None else f"{elo:.0f}" for elo in (row.elo_mean, row.elo_best)),
            f"{row.hours:.2f}",
            None if row.share is None else f"{row.share:.0%}",
        )
        for row in found
    ]
    columns = "architecture >networks >games", ">mean Elo", ">best Elo", ">hours", ">share"
    return table((*columns[0].split(), *columns[1:]), rows, plain=True)
