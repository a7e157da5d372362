"""Settings under which the whole loop runs a generation in seconds."""

from __future__ import annotations

SETTINGS = {
    "training.architecture": "v2-micro",
    "selfplay.games": 16,
    "selfplay.bootstrap_games": 24,
    "selfplay.games_per_ticket": 8,
    "selfplay.simulations": 4,
    "selfplay.considered": 4,
    "shard.games": 8,
    "training.min_samples": 100,
    "training.epochs": 1.0,
    "training.batch": 64,
    "training.checkpoint_steps": 5,
    "evaluation.simulations": 4,
    "evaluation.starts_per_ticket": 4,
    "evaluation.baseline_starts": 4,
    "promotion.starts_max": 8,
}


def options() -> list[str]:
    """The settings as options of `ringrift up`."""
    return [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
