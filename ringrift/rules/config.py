"""The twelve configs and their constants (sections 2 and 22 of the rules)."""

from dataclasses import dataclass
from typing import Final

from ringrift.rules.errors import ConfigError

SEATS: Final = (2, 3, 4)
LPS_ROUNDS_DEFAULT: Final = 3


@dataclass(frozen=True, slots=True)
class Board:
    """Shape of a board; `width` is the side of its bounding square grid."""

    name: str
    hex: bool
    width: int
    rings_per_seat: int

    @property
    def radius(self) -> int:
        """Radius of a hexagon (0 for squares)."""
        return self.width // 2 if self.hex else 0

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """0-based grid coordinates `(x, y)` of all cells in scan order (2.5); on hexes `x = q + m`,
        `y = r + m`."""
        span = range(self.width)
        m = self.radius
        return tuple((x, y) for x in span for y in span if not self.hex or abs(x + y - 2 * m) <= m)


BOARDS: Final = {
    board.name: board
    for board in (
        Board("square8", False, 8, 18),
        Board("square19", False, 19, 72),
        Board("hex8", True, 9, 18),
        Board("hexagonal", True, 25, 96),
    )
}


@dataclass(frozen=True, slots=True, order=True)
class Config:
    """A board and a number of seats; `key` is its name everywhere, for example `hex8_2p`."""

    board: str
    seats: int

    def __post_init__(self) -> None:
        if self.board not in BOARDS:
            raise ConfigError(f"unknown board {self.board!r}; boards are {', '.join(BOARDS)}")
        if self.seats not in SEATS:
            raise ConfigError(f"{self.seats!r} seats; a game has 2, 3 or 4")

    @classmethod
    def parse(cls, key: str) -> "Config":
        """Return the config named `key`. Raises ConfigError."""
        config = _BY_KEY.get(key)
        if config is None:
            raise ConfigError(f"unknown config {key!r}; configs are {', '.join(_BY_KEY)}")
        return config

    @property
    def key(self) -> str:
        return f"{self.board}_{self.seats}p"

    @property
    def shape(self) -> Board:
        return BOARDS[self.board]

    @property
    def rings_per_seat(self) -> int:
        """R."""
        return self.shape.rings_per_seat

    @property
    def line_length(self) -> int:
        """L, the required line length (10.2)."""
        return 3 if self.shape.width < 10 and self.seats > 2 else 4

    @property
    def line_noticed(self) -> int:
        """Shortest run that counts as a line (10.2, E1)."""
        return 3 if self.board == "square8" and self.seats > 2 else 4

    @property
    def rings_to_win(self) -> int:
        """V = R (n + 1) / 3 (16.1)."""
        return self.rings_per_seat * (self.seats + 1) // 3

    @property
    def territory_to_win(self) -> int:
        """floor(cells / n) + 1 (16.2)."""
        return len(self.shape.cells) // self.seats + 1


CONFIGS: Final = tuple(Config(board, seats) for board in BOARDS for seats in SEATS)
_BY_KEY: Final = {config.key: config for config in CONFIGS}
