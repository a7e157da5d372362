"""What verification found, as text and as plain values."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Kind = Literal[
    "stream", "message", "head", "fold", "snapshot", "decision", "game", "score", "shard", "blob"
]
Level = Literal["warn", "fail"]
KINDS: dict[Kind, str] = {
    "stream": "streams",
    "message": "messages",
    "head": "tree heads",
    "fold": "live folds",
    "snapshot": "snapshots",
    "decision": "decisions",
    "game": "games",
    "score": "scores",
    "shard": "shards",
    "blob": "blobs",
}
"""What is compared, in the plural."""
SHOWN_MAX = 5
"""Problems of one kind and level that the text shows."""


class Problem(Struct, frozen=True):
    """Something that differs from the log or is lost (`fail`), or that is unknown or will be
    repaired (`warn`)."""

    kind: Kind
    name: str
    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.level:<4} {self.kind:<9} {self.name}  {self.text}"


class VerifyReport(Struct, kw_only=True):
    """How much was compared, by kind, and the problems found."""

    sound: bool
    """Whether no problem is a failure."""
    seq: int
    """Of `EVENTS`, up to which everything was compared."""
    games_seq: int
    checked: dict[Kind, int]
    problems: list[Problem]
    by_others: dict[str, int] = {}
    """Decisions that differ and that another program took, by program: they are warnings."""
    covered: int = 0
    """Messages of `EVENTS` under the largest tree head that agrees with them."""

    def lines(self) -> Iterator[str]:
        """Yield the report as text: the first problems of each kind, and a summary."""
        counts = Counter((item.level, item.kind) for item in self.problems)
        shown: Counter[tuple[str, str]] = Counter()
        for item in sorted(self.problems, key=lambda item: item.level):
            group = item.level, item.kind
            shown[group] += 1
            if shown[group] <= SHOWN_MAX:
                yield str(item)
            elif shown[group] == counts[group]:
                more = counts[group] - SHOWN_MAX
                yield f"{item.level:<4} {item.kind:<9} and {more:,} more, see --json"
        compared = ", ".join(
            f"{self.checked.get(kind, 0):,} {name}" for kind, name in KINDS.items()
        )
        failed = sum(item.level == "fail" for item in self.problems)
        outcome = "all agree with the log" if self.sound else f"{failed:,} losses or differences"
        if self.covered:
            rest = f"EVENTS/{self.covered + 1}..{self.seq} is not covered yet"
            agreed = f"tree heads agree with EVENTS/1..{self.covered}"
            yield f"{agreed}; {rest}" if self.covered < self.seq else agreed
        elif self.seq:
            yield f"no tree head covers EVENTS/1..{self.seq} yet"
        ends = {"EVENTS": self.seq, "GAMES": self.games_seq}
        read = ", ".join(f"{stream}/1..{end}" for stream, end in ends.items() if end)
        yield f"{read or 'the log is empty'}: {compared}; {outcome}"
