"""How fast does a player learn with other settings? The figures of docs/experiments.md.

    python docs/scripts/baseline.py learn hex8_2p 180 first.net default
    python docs/scripts/baseline.py learn hex8_2p 180 first.net puct selfplay.harness=puct \\
        selfplay.simulations=600 selfplay.games=100 selfplay.even_openings=0 \\
        selfplay.opening_plies=0
    python docs/scripts/baseline.py match default.net puct.net hex8_2p gumbel 64 200
    python docs/scripts/baseline.py match default.net heuristic hex8_2p gumbel 64 300

`learn` plays and trains in turn for so many seconds of CPU, from the network named or, with `-`,
from nothing, and writes NAME.net. Settings are those of a new run without a GPU, except for those
given. With Gumbel search and without a network the first games are those of the heuristic's search,
as in a new run; AlphaZero's search begins with random weights. `older=0.5` lets the network before
the newest play half of the games, as it does in the loop while the newest is trained.

`match` plays so many starts, both networks with the same search and from even openings, or a
network against the heuristic after four random plies. It also says from which seats it lost, and
how those games ended."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

from ringrift.deciders.loop.verdict import class_counts
from ringrift.deciders.stats.sprt import elo_estimate
from ringrift.events import facts as f
from ringrift.events.participants import seat
from ringrift.events.settings import NNUE_MACHINE, Settings
from ringrift.events.settings_sources import load
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
from ringrift.search.harness import Model

HOST = Host(node="trial", threads=1)
BASELINES = ("heuristic", "random")


def learn(key: str, seconds: float, start: str, name: str, given: dict[str, str]) -> str:
    """Play and train for `seconds` of CPU."""
    older = float(given.pop("older", 0.0))
    config, settings = Config.parse(key), load(given, base=NNUE_MACHINE)
    play, training = settings.selfplay, settings.training
    data = None if start == "-" else Path(start).read_bytes()
    if data is None and play.harness == "puct":
        network = build(training.architecture, config)
        data = NnueCheckpoint.save(network, architecture=training.architecture, config=config)
    before, shards, generation, played, trained = data, [], 0, 0, 0.0
    began = time.process_time()
    while time.process_time() - began < seconds:
        games = play.games if data else play.bootstrap_games
        first = round(games * older)
        found = [*_play(key, settings, before, generation, 0, first)] if first else []
        found += _play(key, settings, data, generation, first, games - first)
        shard, counts = build_shard(config, found)
        shards.append(read_shard(shard))
        at = time.process_time()
        window = open_window(shards, training.window_samples)
        passes = training.epochs * len(window) * (1.0 if data else training.first_intensity)
        passes = min(passes, training.passes_max * counts.samples)
        steps = max(1, int(passes / training.batch))
        kind = trainer_of(training.architecture)
        trainer = kind(window, training, seed=generation, steps=steps, start=data)
        trainer.run()
        before, data = data, trainer.model()
        trained += time.process_time() - at
        played, generation = played + games, generation + 1
    Path(f"{name}.net").write_bytes(data or b"")
    spent = time.process_time() - began
    parts = f"{spent:.0f} s, {trained:.0f} s of them training"
    return f"{name}: {generation} generations, {played} games, {parts}"


def _play(
    key: str, settings: Settings, data: bytes | None, generation: int, first: int, games: int
) -> Iterator[f.GameCompleted]:
    """The games from number `first` on of a generation, by the network in `data`."""
    plan = f.SelfplayPlanned(
        config=key,
        generation=generation,
        games=first + games,
        games_per_ticket=first + games,
        simulations=settings.selfplay.simulations,
        model=digest_of(data) if data else None,
        seed=1,
        settings_version=0,
    )
    ticket = SelfplayTicket(
        ticket=f"t{generation}", cause="EVENTS/1", plan=plan, first_game=first, games=games
    )
    yield from play_games(
        ticket, settings.selfplay, HOST, model=_model(data, key) if data else None
    )


def match(one: str, other: str, key: str, search: str, simulations: int, starts: int) -> str:
    """The score and Elo of the first network against the second or a baseline."""
    models, players = dict[str, Model](), list[f.Seat]()
    for name in (one, other):
        if name in BASELINES:
            players.append(seat(name))
            continue
        data = Path(name).read_bytes()
        digest = digest_of(data)
        models[digest] = _model(data, key)
        players.append(seat(search, model=digest, simulations=simulations, evaluator="nnue"))
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
    *games, score = play_match(
        ticket, NNUE_MACHINE.evaluation, HOST, model_of=lambda digest: models[digest]
    )
    assert isinstance(score, f.EvaluationScored)
    seats = Config.parse(key).seats
    elo, half, _ = elo_estimate(class_counts(score.scores, seats))
    lost = Counter[tuple[int, str]]()
    for game in games:
        assert isinstance(game, f.GameCompleted)
        own = int(game.game.rsplit("-", 1)[1]) % seats + 1
        if game.winner != own:
            lost[own, game.reason] += 1
    parts = (f"{count} from seat {own} by {why}" for (own, why), count in lost.most_common())
    how = ", ".join(parts) or "none"
    return f"{score.wins:g} of {score.games} games, {elo:+.0f} Elo (± {half:.0f}); lost {how}"


def _model(data: bytes, key: str) -> Model:
    return model_of(data, digest=digest_of(data), config=key, threads=1)


def main(command: str, *words: str) -> None:
    """Carry out a command and print what it found."""
    torch.set_num_threads(1)
    if command == "learn":
        key, seconds, start, name, *settings = words
        given = dict(text.split("=", 1) for text in settings)
        print(learn(key, float(seconds), start, name, given), flush=True)
    else:
        one, other, key, search, simulations, starts = words
        print(match(one, other, key, search, int(simulations), int(starts)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
