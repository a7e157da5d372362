"""How does a network play boards that it was not trained for? The figures of docs/experiments.md.

    python docs/scripts/boards.py play hex8_2p 512 hex8_2p.shard
    ringrift train --config hex8_2p --config square8_2p --shards *.shard --steps 960 --output net
    python docs/scripts/boards.py match net hexagonal_2p policy 0 16
    python docs/scripts/boards.py match net square8_3p gumbel 16 12

The first plays 512 games of the heuristic's search, the last two 16 starts against the heuristic
without search and 12 with 16 simulations. Each prints its seconds of CPU."""

import sys
import time
from pathlib import Path

from ringrift.deciders.stats.wilson import wilson_interval
from ringrift.events import facts as f
from ringrift.events.participants import seat
from ringrift.events.settings import EvaluationSettings, SelfplaySettings
from ringrift.events.tickets import EvaluationTicket, SelfplayTicket
from ringrift.learning.matches import play_match
from ringrift.learning.models import model_of
from ringrift.learning.play import Host, play_games
from ringrift.learning.shards import build_shard
from ringrift.nets.header import digest_of
from ringrift.rules.config import Config

SIMULATIONS = 32  # of the games to learn from
HOST = Host(node="trial", threads=1)


def play(config: str, games: int, output: Path) -> str:
    """Write a shard of games in which the heuristic values the leaves."""
    plan = f.SelfplayPlanned(
        config=config,
        generation=0,
        games=games,
        games_per_ticket=games,
        simulations=SIMULATIONS,
        model=None,
        seed=1,
        settings_version=0,
    )
    ticket = SelfplayTicket(ticket="trial", cause="EVENTS/1", plan=plan, first_game=0, games=games)
    played = list(play_games(ticket, SelfplaySettings(), HOST))
    data, counts = build_shard(Config.parse(config), played)
    output.write_bytes(data)
    return f"{counts.games} games of {config}, {counts.samples} samples"


def match(network: Path, config: str, harness: str, simulations: int, starts: int) -> str:
    """The score of a network against the heuristic; openings have 4 random plies."""
    data = network.read_bytes()
    model = digest_of(data)
    loaded = model_of(data, digest=model, config=config, threads=1)
    evaluator = "network" if loaded.nnue is None else "nnue"
    request = f.EvaluationRequested(
        config=config,
        generation=0,
        candidate=seat(harness, model=model, simulations=simulations, evaluator=evaluator),
        opponent=seat("heuristic"),
        purpose="strength",
        round=0,
        starts=starts,
        seed=1,
        settings_version=0,
    )
    ticket = EvaluationTicket(ticket="trial", cause="EVENTS/1", request=request)
    *_, score = play_match(ticket, EvaluationSettings(), HOST, model_of=lambda _: loaded)
    assert isinstance(score, f.EvaluationScored)
    low, high = wilson_interval(score.wins / score.games, score.games)
    share = f"{score.wins / score.games:.1%} ({low:.0%}-{high:.0%})"
    player = f"{harness} s{simulations}"
    return f"{config}, {player}: {score.wins:g} of {score.games} games, {share}"


def main(command: str, *words: str) -> None:
    """Carry out a command and print what it found."""
    if command == "play":
        text = play(words[0], int(words[1]), Path(words[2]))
    else:
        text = match(Path(words[0]), words[1], words[2], int(words[3]), int(words[4]))
    print(f"{text}; {time.process_time():.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
