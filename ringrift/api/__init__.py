"""RingRift for programs: play games, read networks and logs, search.

    >>> from ringrift.api import Game, Player
    >>> game = Game("hex8_2p")
    >>> player = Player("hex8_2p", "gumbel", budget=16)
    >>> game.play(player.search(game, seed=1).move)
    >>> game.ply
    1

- `Game`: one game; legal moves, playing, records, positions, the outcome
- `Network`: a trained network from a file, bytes or a log; values and policy
- `Player`: a search with a network or the heuristic; `play_out` plays a whole game
- `Log`: networks and games of a log

Names are those of the terminal: configs such as `hex8_2p`, moves and cells as in records, seats
from 1. Two adapters need the extra `ringrift[env]`: `ringrift.api.pettingzoo_env` and
`ringrift.api.openspiel`."""

from ringrift.api.game import CONFIGS, KINDS, Cell, Game, Move
from ringrift.api.log import Log
from ringrift.api.players import Evaluation, Network, Player, Search, play_out

__all__ = [
    "CONFIGS",
    "KINDS",
    "Cell",
    "Evaluation",
    "Game",
    "Log",
    "Move",
    "Network",
    "Player",
    "Search",
    "play_out",
]
