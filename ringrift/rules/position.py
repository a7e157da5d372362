"""A game position in plain Python."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la, moves as mv
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import RULES
from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.errors import IllegalMove
from ringrift.rules.geometry import Geometry, geometry
from ringrift.rules.layout import END_CAUSES, END_REASONS, STATE_DTYPE, init_state
from ringrift.rules.legal import legal_moves
from ringrift.rules.notation import parse_token, token, tokens
from ringrift.rules.outcome import final_rank
from ringrift.rules.position_text import read_position, write_position

PHASES: Final = (
    "ring_placement",
    "movement",
    "capture",
    "chain_capture",
    "line_processing",
    "territory_processing",
    "forced_elimination",
    "game_over",
)


class Position:
    """A position of a game. `play` changes it; use `copy` to try moves."""

    __slots__ = ("_legal", "config", "geometry", "state")

    def __init__(self, config: Config, state: NDArray[np.int32]) -> None:
        self.config = config
        self.geometry: Geometry = geometry(config)
        self.state = state
        self._legal: NDArray[np.int64] | None = None

    @classmethod
    def start(
        cls, config: Config, pie: bool = False, lps_rounds: int = LPS_ROUNDS_DEFAULT
    ) -> "Position":
        """Return the start position (section 5)."""
        warm_up()
        G = geometry(config)
        state = np.zeros(G.state_size, STATE_DTYPE)
        init_state(G, state, int(pie), lps_rounds)
        return cls(config, state)

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Return the position written by `text()`. Raises NotationError."""
        warm_up()
        return cls(*read_position(text))

    def text(self) -> str:
        """Return the position as eight fields separated by blanks (21.4)."""
        return write_position(self.config, self.state)

    def copy(self) -> "Position":
        return Position(self.config, self.state.copy())

    def legal_codes(self) -> NDArray[np.int64]:
        """Return the codes of all legal moves, ascending; empty only when the game is over."""
        if self._legal is None:
            buffer = np.empty(self.geometry.moves_max, np.int64)
            self._legal = np.sort(buffer[: legal_moves(self.geometry, self.state, buffer)])
            self._legal.flags.writeable = False
        return self._legal

    def legal(self) -> list[str]:
        """Return the tokens of all legal moves in ascending order of their codes, without `resign`
        and `timeout`."""
        return tokens(self.config, self.legal_codes())

    def token(self, code: int) -> str:
        """Return the token of a move code."""
        return token(self.config, code)

    def code(self, text: str) -> int:
        """Return the code of a legal move, or of `resign` or `timeout`.

        Raises NotationError or IllegalMove."""
        code = parse_token(self.config, text)
        self._require_legal(code)
        return code

    def play(self, text: str) -> None:
        """Play the move named by a token.

        Raises NotationError or IllegalMove, with the position unchanged."""
        self._apply(self.code(text))

    def play_code(self, code: int) -> None:
        """Play a legal move by its code. Raises IllegalMove."""
        self._require_legal(int(code))
        self._apply(int(code))

    def _require_legal(self, code: int) -> None:
        if self.over:
            raise IllegalMove(self._name(code), "the game is over", self.ply)
        if code in (mv.RESIGN, mv.TIMEOUT):
            return
        codes = self.legal_codes()
        index = int(np.searchsorted(codes, code))
        if index == codes.size or codes[index] != code:
            reason = f"seat {self.seat} is in {PHASES[self.phase]} with {codes.size} other moves"
            raise IllegalMove(self._name(code), reason, self.ply)

    def _name(self, code: int) -> str:
        try:
            return token(self.config, code)
        except KeyError:
            return str(code)

    def _apply(self, code: int) -> None:
        self._legal = None
        apply_move(self.geometry, self.state, code)

    @property
    def seat(self) -> int:
        """Seat to act, 0 when the game is over."""
        return int(self.state[la.TURN])

    @property
    def phase(self) -> int:
        """Index into PHASES."""
        return int(self.state[la.PHASE])

    @property
    def ply(self) -> int:
        """Moves recorded so far."""
        return int(self.state[la.PLY])

    @property
    def turn_number(self) -> int:
        return int(self.state[la.TURN_NUMBER])

    @property
    def over(self) -> bool:
        return self.phase == la.OVER

    @property
    def winner(self) -> int:
        """Winning seat; 0 while the game runs, and after resignation or timeout with three or four
        seats."""
        return int(self.state[la.WINNER])

    @property
    def reason(self) -> str:
        """Reason of the end in the words of section 16, or `resign`, `timeout`; empty while the
        game runs."""
        return END_REASONS[int(self.state[la.REASON])]

    @property
    def cause(self) -> str:
        """Finer than `reason`: separates the decisions on a bare board and the two
        last-player-standing rules."""
        return END_CAUSES[int(self.state[la.REASON])]

    def hands(self) -> tuple[int, ...]:
        """Rings in hand, by seat."""
        return self._by_seat(la.HAND)

    def removed(self) -> tuple[int, ...]:
        """Removed rings credited to each seat."""
        return self._by_seat(la.REMOVED)

    def territory(self) -> tuple[int, ...]:
        """Collapsed cells of each seat."""
        return self._by_seat(la.TERRITORY_OF)

    def markers(self) -> tuple[int, ...]:
        """Markers of each seat on the board."""
        return self._by_seat(la.MARKERS)

    def _by_seat(self, table: int) -> tuple[int, ...]:
        return tuple(self.state[table + 1 : table + 1 + self.config.seats].tolist())

    def ranks(self) -> tuple[int, ...]:
        """Return the final rank of each seat (section 18). Raises ValueError while the game
        runs."""
        if not self.over:
            raise ValueError("ranks exist when the game is over")
        n = self.config.seats
        return tuple(int(final_rank(self.state, n, seat)) for seat in range(1, n + 1))


@cache
def warm_up() -> None:
    """Load the compiled rules; a first compilation takes up to half a minute."""
    with RULES.loading("the rules"):
        G = geometry(Config("square8", 2))
        state = np.zeros(G.state_size, STATE_DTYPE)
        init_state(G, state, 0, LPS_ROUNDS_DEFAULT)
        out = np.empty(G.moves_max, np.int64)
        legal_moves(G, state, out)
        apply_move(G, state, int(out[0]))
