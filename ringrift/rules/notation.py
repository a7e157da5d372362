"""Names of cells and moves (sections 21.1 and 21.2)."""

import re
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import moves as mv
from ringrift.rules.config import Config
from ringrift.rules.errors import NotationError
from ringrift.rules.geometry import geometry
from ringrift.rules.moves import A_SHIFT, B_SHIFT, C_SHIFT, D_SHIFT, FIELD_BITS, N_SHIFT

WORDS: Final = {
    mv.SKIP_PLACE: "~p",
    mv.SKIP_CAPTURE: "~c",
    mv.SKIP_RECOVERY: "~r",
    mv.SKIP_TERRITORY: "~t",
    mv.NO_PLACE: "-p",
    mv.NO_MOVE: "-m",
    mv.NO_LINE: "-l",
    mv.NO_TERRITORY: "-t",
    mv.SWAP: "swap",
    mv.RESIGN: "resign",
    mv.TIMEOUT: "timeout",
}
_WORD_KINDS: Final = {word: kind for kind, word in WORDS.items()}

TEMPLATES: Final = {
    mv.WALK: "{a}-{b}",
    mv.LEAP: "{a}x{b}-{c}",
    mv.CHAIN: ">{a}x{b}-{c}",
    mv.RECOVERY_ALL: "R{a}-{b}=A!{c}",
    mv.RECOVERY_PART: "R{a}-{b}=P({c}..{d})",
    mv.RECOVERY_FALLBACK: "R{a}-{b}=F!{c}",
    mv.RECOVERY_STRIKE: "R{a}-{b}=S!{c}",
    mv.LINE: "L({a}..{b})",
    mv.LINE_ALL: "L({a}..{b})=all",
    mv.LINE_PART: "L({a}..{b})={c}..{d}",
    mv.ELIM_LINE: "E{a}.l",
    mv.ELIM_TERRITORY: "E{a}.t",
    mv.ELIM_RECOVERY: "E{a}.r",
    mv.CLAIM: "T{a}/{n}",
    mv.FORCED: "F{a}",
}

_CELL: Final = r"[a-y](?:[1-9]|1[0-9]|2[0-5])(?![0-9])"


def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of the tokens that a template writes."""
    text = re.sub(r"\\{[a-d]\\}", f"({_CELL})", re.escape(template))
    return re.compile(text.replace(r"\{n\}", "([0-4])"))


_GRAMMAR: Final = {
    mv.PLACE: re.compile(rf"@({_CELL})(?:\*([23]))?"),
    **{kind: _pattern(template) for kind, template in TEMPLATES.items()},
}


@cache
def cell_names(config: Config) -> dict[int, str]:
    """Return the name of every cell by core id, in scan order."""
    ids = geometry(config).cell_of
    return {
        int(c): f"{chr(97 + x)}{y + 1}" for c, (x, y) in zip(ids, config.shape.cells, strict=True)
    }


@cache
def cell_ids(config: Config) -> dict[str, int]:
    """Return the core id of every cell by name."""
    return {name: c for c, name in cell_names(config).items()}


def fields(code: int) -> tuple[int, int, int, int, int, int]:
    """Return type, cells a to d (core ids, 0 for none) and number of a move code."""
    a, b, c, d = ((code >> shift) & FIELD_BITS for shift in (A_SHIFT, B_SHIFT, C_SHIFT, D_SHIFT))
    return code & 31, a, b, c, d, (code >> N_SHIFT) & 15


def encode(kind: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, n: int = 0) -> int:
    """Return the code of a move."""
    return kind | a << A_SHIFT | b << B_SHIFT | c << C_SHIFT | d << D_SHIFT | n << N_SHIFT


def token(config: Config, code: int) -> str:
    """Return the token of a move code."""
    kind, a, b, c, d, n = fields(int(code))
    if kind in WORDS:
        return WORDS[kind]
    names = cell_names(config)
    if kind == mv.PLACE:
        return f"@{names[a]}*{n}" if n > 1 else f"@{names[a]}"
    return TEMPLATES[kind].format(a=names[a], b=names.get(b), c=names.get(c), d=names.get(d), n=n)


def parse_token(config: Config, text: str) -> int:
    """Return the code of a token, whether or not the move is legal. Raises NotationError."""
    if text in _WORD_KINDS:
        return encode(_WORD_KINDS[text])
    for kind, pattern in _GRAMMAR.items():
        match = pattern.fullmatch(text)
        if match:
            return _code_from(config, kind, match, text)
    raise NotationError(text, _first_bad(text), "no move of section 21.2 is written like this")


def _code_from(config: Config, kind: int, match: re.Match[str], text: str) -> int:
    ids = cell_ids(config)
    cells, n = [], 0
    for group in range(1, match.re.groups + 1):
        found = match.group(group)
        if found is None:
            n = 1
        elif found.isdigit():
            n = int(found)
        elif found in ids:
            cells.append(ids[found])
        else:
            raise NotationError(text, match.start(group), f"{config.board} has no cell {found!r}")
    a, b, c, d = [*cells, 0, 0, 0][:4]
    return encode(kind, a, b, c, d, n)


def _first_bad(text: str) -> int:
    """Return the offset after the opening sign and the first cell, if they are there."""
    return len(re.match(rf"[@>LETRF]?\(?(?:{_CELL})?", text).group())  # type: ignore[union-attr]


def tokens(config: Config, codes: NDArray[np.int64]) -> list[str]:
    """Return the tokens of many codes, in their order."""
    return [token(config, code) for code in codes.tolist()]
