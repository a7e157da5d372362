"""Draws the two moving pictures of the README from a real run.

    ringrift up --config hex8_2p --generations 13 --data run
    python docs/scripts/films.py learning run hex8_2p     writes docs/learning.gif
    python docs/scripts/films.py game docs/game.txt       writes docs/game.svg

`tests/unit/test_pages_examples.py` draws the game again and compares."""

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from ringrift.insight.board.board_svg import svg
from ringrift.insight.board.recorded_game import RecordedGame
from ringrift.insight.plot_style import INK, WORK_COLOURS

DOCS = Path(__file__).parents[1]
SECONDS_A_TURN, SECONDS_AT_THE_END = 0.9, 4.0
FRAMES, FRAMES_A_SECOND, REST_FRAMES = 60, 10, 25
BARS = {"random": "#8b8170", "heuristic": WORK_COLOURS["evaluation"]}


def rows(data: str, statement: str) -> list[dict[str, Any]]:
    """Rows of an SQL statement over the log of a run."""
    command = ["ringrift", "query", statement, "--data", data, "--json"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in found.stdout.splitlines()]


def learning(data: str, config: str) -> None:
    """Losses and scores of a run as they came, over minutes since its start."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation, PillowWriter

    of = f"WHERE config = '{config}' ORDER BY seq"
    losses = rows(data, f"SELECT time, generation, loss FROM training_progressed {of}")
    scores = rows(
        data, f"SELECT time, generation, purpose, wins, games FROM evaluation_scored {of}"
    )
    (first,) = rows(data, f"SELECT time FROM selfplay_planned {of} LIMIT 1")
    start = datetime.fromisoformat(first["time"])
    for row in (*losses, *scores):
        row["minute"] = (datetime.fromisoformat(row["time"]) - start).total_seconds() / 60
    scores = [row for row in scores if row["purpose"] in BARS]
    end = scores[-1]["minute"] * 1.02
    found = [row["loss"] for row in losses]
    drawing, (upper, lower) = pyplot.subplots(2, 1, figsize=(7.6, 4.2), dpi=90, sharex=True)

    def frame(number: int) -> None:
        now = end * min(1.0, (number + 1) / FRAMES)
        for axes in (upper, lower):
            axes.clear()
            axes.spines[["top", "right"]].set_visible(False)
        upper.set(xlim=(0, end), ylim=(0, 118), ylabel="games won, %")
        lower.set(
            ylim=(0.9 * min(found), 1.1 * max(found)),
            ylabel="loss",
            xlabel="minutes since nothing was known",
        )
        upper.set_title(f"{config}: each network against random play and the heuristic", fontsize=9)
        for purpose, colour in BARS.items():
            seen = [row for row in scores if row["purpose"] == purpose and row["minute"] <= now]
            shares = [100 * row["wins"] / row["games"] for row in seen]
            upper.plot([row["minute"] for row in seen], shares, "o-", color=colour)
            below = 11 if purpose == "heuristic" else -5
            for row, share in zip(seen, shares, strict=True):
                place = row["minute"], share - below
                upper.annotate(f"{share:.0f}", place, ha="center", fontsize=8)
            upper.plot([], [], "o-", color=colour, label=f"against {purpose}")
        upper.legend(loc="lower right", fontsize=8, frameon=False)
        for generation in sorted({row["generation"] for row in losses}):
            seen = [r for r in losses if r["generation"] == generation and r["minute"] <= now]
            lower.plot(
                [row["minute"] for row in seen],
                [row["loss"] for row in seen],
                color=WORK_COLOURS["training"],
            )
        for axes in (upper, lower):
            axes.axvline(now, color=INK, linewidth=0.6)
        drawing.tight_layout()

    film = FuncAnimation(drawing, frame, frames=FRAMES + REST_FRAMES)
    film.save(DOCS / "learning.gif", writer=PillowWriter(fps=FRAMES_A_SECOND))


def game(path: str) -> None:
    """Draw a recorded game."""
    (DOCS / "game.svg").write_text(drawn_game(path))


def drawn_game(path: str) -> str:
    """A recorded game as one SVG document that shows a picture a turn."""
    recorded = RecordedGame.read(path)
    assert recorded is not None
    position, turns, last = recorded.record.start(), [0], 0
    for ply, move in enumerate(recorded.record.moves):
        if position.turn_number != last and ply:
            turns.append(ply)
        last = position.turn_number
        position.play(move)
    turns.append(len(recorded.record.moves))
    pictures = [svg(recorded._replace(title="").at(ply)) for ply in turns]
    return film_of(pictures)


def film_of(pictures: list[str]) -> str:
    """Pictures of one size as one that shows each for a while; they share head and styles."""
    head = re.match(r"<svg[^>]*>", pictures[0])
    style = re.search(r"<style>.*?</style>\s*<defs>.*?</defs>", pictures[0], re.DOTALL)
    assert head is not None
    assert style is not None
    whole = len(pictures) * SECONDS_A_TURN + SECONDS_AT_THE_END
    parts = []
    for number, picture in enumerate(pictures):
        body = re.sub(r"<svg[^>]*>|</svg>|<title>.*?</title>", "", picture)
        body = body.replace(style[0], "")
        begin = number * SECONDS_A_TURN / whole
        end = (number + 1) * SECONDS_A_TURN / whole if picture != pictures[-1] else 1
        times = f"0;{begin:.4f};{end:.4f}" if number else f"0;{end:.4f}"
        shown = "hidden;visible;hidden" if number else "visible;hidden"
        parts.append(
            f"<g visibility='{'hidden' if number else 'visible'}'>"
            f"<animate attributeName='visibility' calcMode='discrete' dur='{whole:.1f}s' "
            f"repeatCount='indefinite' keyTimes='{times}' values='{shown}'/>{body.strip()}</g>"
        )
    title = "<title>A game of RingRift, one picture a turn</title>"
    return "\n".join((head[0], title, style[0], *parts, "</svg>", ""))


if __name__ == "__main__":
    {"learning": learning, "game": game}[sys.argv[1]](*sys.argv[2:])
