"""Is Gumbel search with 64 simulations better to learn with than AlphaZero's search with 600, or
Gumbel search with 256? Do even openings pay? The figures of docs/experiments.md.

    python docs/scripts/baseline.py learn gumbel hex8_2p 180 first.net gumbel
    python docs/scripts/baseline.py learn even hex8_2p 180 first.net even
    python docs/scripts/baseline.py learn puct hex8_2p 180 first.net puct
    python docs/scripts/baseline.py match gumbel.net puct.net hex8_2p gumbel 64 200

`learn` plays and trains in turn for so many seconds of CPU, from the network named or, with `-`,
from nothing, and writes NAME.net. The networks, their training and the settings are those of a new
run without a GPU; only the search differs, and the games of a generation, which take about as long
as its training. With Gumbel search and without a network the first games are those of the
heuristic's search, as in a new run; AlphaZero's search begins with random weights.

`match` plays so many starts, both networks with the same search, from even openings."""

import sys
import time
from pathlib import Path

import torch
from msgspec.structs import replace

from ringrift.deciders.loop.verdict import class_counts
from ringrift.deciders.stats.sprt import elo_estimate
from ringrift.events import facts as f
from ringrift.events.participants import seat
from ringrift.events.settings import NNUE_MACHINE
from ringrift.events.tickets import EvaluationTicket, SelfplayTicket
from ringrift.learning.families import trainer_of
from ringrift.learning.matches import play_match
from ringrift.learning.models import model_of
from ringrift.learning.play import Host, play_games
from ringrift.learning.shards import build_shard, read_shard
from ringrift.learning.window import open_window
from ringrift.nets.header import digest_of
from ringrift.nets.nnue.network import NnueCheckpoint, build
from ringrift.rules.config import Config

HOST = Host(node="trial", threads=1)
SEARCHES = {
    "gumbel": (64, 1000, 0.0),
    "gumbel128": (128, 600, 0.0),
    "gumbel256": (256, 300, 0.0),
    "even": (64, 1000, 0.5),
    "even192": (192, 400, 0.5),
    "alleven": (64, 1000, 1.0),
    "puct": (600, 100, 0.0),
}
"""simulations of a decision, games of a generation, and the share of them with even openings"""
TRAINING = NNUE_MACHINE.training


def learn(search: str, key: str, seconds: float, start: str, name: str) -> str:
    """Play and train for `seconds` of CPU."""
    config, (simulations, games, even) = Config.parse(key), SEARCHES[search]
    harness = "puct" if search == "puct" else "usual"
    settings = replace(NNUE_MACHINE.selfplay, harness=harness, even_openings=even)
    data = None if start == "-" else Path(start).read_bytes()
    if data is None and search == "puct":
        data = NnueCheckpoint.save(
            build(TRAINING.architecture, config), architecture=TRAINING.architecture, config=config
        )
    shards, generation, played, trained = [], 0, 0, 0.0
    began = time.process_time()
    while time.process_time() - began < seconds:
        model = data and model_of(data, digest=digest_of(data), config=key, threads=1)
        plan = f.SelfplayPlanned(
            config=key,
            generation=generation,
            games=games,
            games_per_ticket=games,
            simulations=simulations,
            model=digest_of(data) if data else None,
            seed=1,
            settings_version=0,
        )
        ticket = SelfplayTicket(
            ticket=f"t{generation}", cause="EVENTS/1", plan=plan, first_game=0, games=games
        )
        found = list(play_games(ticket, settings, HOST, model=model or None))
        shard, counts = build_shard(config, found)
        shards.append(read_shard(shard))
        at = time.process_time()
        window = open_window(shards, TRAINING.window_samples)
        passes = min(TRAINING.epochs * len(window), TRAINING.passes_max * counts.samples)
        trainer = trainer_of(TRAINING.architecture)(
            window,
            TRAINING,
            seed=generation,
            steps=max(1, int(passes / TRAINING.batch)),
            start=data,
        )
        trainer.run()
        data = trainer.model()
        trained += time.process_time() - at
        played, generation = played + games, generation + 1
    Path(f"{name}.net").write_bytes(data or b"")
    spent = time.process_time() - began
    parts = f"{spent:.0f} s, {trained:.0f} s of them training"
    return f"{search}: {generation} generations, {played} games, {parts}"


def match(one: Path, other: Path, key: str, search: str, simulations: int, starts: int) -> str:
    """The score and Elo of the first network against the second."""
    models = {}
    for path in (one, other):
        data = path.read_bytes()
        models[digest_of(data)] = model_of(data, digest=digest_of(data), config=key, threads=1)
    players = [
        seat(search, model=name, simulations=simulations, evaluator="nnue") for name in models
    ]
    request = f.EvaluationRequested(
        config=key,
        generation=0,
        candidate=players[0],
        opponent=players[1],
        purpose="strength",
        round=0,
        starts=starts,
        seed=1,
        settings_version=0,
    )
    ticket = EvaluationTicket(ticket="trial", cause="EVENTS/1", request=request)
    *_, score = play_match(
        ticket, NNUE_MACHINE.evaluation, HOST, model_of=lambda digest: models[digest]
    )
    assert isinstance(score, f.EvaluationScored)
    elo, half, _ = elo_estimate(class_counts(score.scores, Config.parse(key).seats))
    return f"{score.wins:g} of {score.games} games, {elo:+.0f} Elo (± {half:.0f})"


def main(command: str, *words: str) -> None:
    """Carry out a command and print what it found."""
    torch.set_num_threads(1)
    if command == "learn":
        print(learn(words[0], words[1], float(words[2]), words[3], words[4]), flush=True)
    else:
        one, other, key, search, simulations, starts = words
        print(match(Path(one), Path(other), key, search, int(simulations), int(starts)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
