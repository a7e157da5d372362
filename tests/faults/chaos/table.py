"""The results of a run, as a row of the table that `make chaos` ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

KILLS = ("kill", "all", "consumer killed")
COLUMNS = (
    "run",
    "kills",
    "power cuts",
    "frozen",
    "cuts",
    "slow disks",
    "other faults",
    "acknowledged",
    "lost",
    "doubled",
    "other violations",
    "longest outage of writes",
    "longest without a leader",
)


class Row(NamedTuple):
    """`done` counts the faults of the run by kind; `lost` and `doubled` count events among those
    `acknowledged` to writers."""

    run: str
    done: Counter[str]
    acknowledged: int
    lost: int
    doubled: int
    others: int
    outage_seconds: float
    leaderless_seconds: float

    def cells(self) -> list[str]:
        """The texts of the cells, in the order of `COLUMNS`."""
        done = Counter(self.done)
        kills = sum(done.pop(kind, 0) for kind in KILLS)
        counts = [
            kills,
            done.pop("power", 0),
            done.pop("freeze", 0) + done.pop("consumer frozen", 0),
            done.pop("cut", 0),
        ]
        counts.append(done.pop("slow disk", 0))
        counts.append(done.total())
        numbers = [*counts, self.acknowledged, self.lost, self.doubled, self.others]
        seconds = [f"{self.outage_seconds:.1f} s", f"{self.leaderless_seconds:.1f} s"]
        return [self.run, *(f"{number:,}" for number in numbers), *seconds]


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [COLUMNS, ["---", *["--:"] * (len(COLUMNS) - 1)], *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
