"""How far the search of a game has advanced, in compiled code and in the caller."""

from typing import Final

NEW: Final = 0  # only the state of the root is set
WAITING: Final = 1  # a position needs values from the caller
ANSWERED: Final = 2  # the values are in place
RUNNING: Final = 3  # depth-first and descent: it can go on, after arrays grew if `need` is set
FULL: Final = 4  # Gumbel: answered, but the edge pool has to grow first
DONE: Final = 5  # the result is written

NODES_AT_ONCE: Final = 1024  # after which Gumbel and descent return, so that they can be stopped
