"""Version of the rules, recorded with every game and network; it moves only when a game could go on
or end differently."""

from typing import Final

RULES_VERSION: Final = 1
