"""The picture of a log on a terminal: lines that fit its size, what needs a person first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rich.text import Text

from ringrift.cluster.screen import WIDE, score_text, verdict_of
from ringrift.cluster.terminal import clock
from ringrift.events import Recorded
from ringrift.insight.describe import fields_line, one_line, plural, short
from ringrift.insight.elo import elo_text
from ringrift.insight.generations import ConfigView, Generation
from ringrift.insight.live import Live
from ringrift.insight.needs import Need, needs
from ringrift.insight.running import Match
from ringrift.insight.usage import used
from ringrift.runtime.processes import EXPECTED

Page = Literal["loop", "needs", "processes"]
PAGES: tuple[Page, ...] = ("loop", "needs", "processes")
NEEDS_SHOWN = 4
"""on the page of the loop; the rest is on a page of its own"""
EVENTS_SHOWN_MIN = 2
"""lines without another use that the newest events are worth"""
BAR = 20
ASCII = str.maketrans({"█": "#", "░": ".", "±": "+-", "→": "->", "▸": ">", "…": "...", "●": "!"})
"""for terminals that are not UTF-8"""
KEYS = "n needs  p processes  q quit"


@dataclass
class Place:
    """Where the viewer is: a page, the number of the selected config, lines scrolled down."""

    page: Page = "loop"
    config: int = 0
    scroll: int = 0

    def after(self, key: str, configs: int) -> None:
        """Move as a key asks; unknown keys do nothing."""
        match key:
            case "right" | "tab" | "l":
                self.config, self.scroll = (self.config + 1) % max(1, configs), 0
            case "left" | "h":
                self.config, self.scroll = (self.config - 1) % max(1, configs), 0
            case "down" | "j":
                self.scroll += 1
            case "up" | "k":
                self.scroll = max(0, self.scroll - 1)
            case "n":
                self._turn_to("needs")
            case "p":
                self._turn_to("processes")
            case "escape":
                self._turn_to(self.page)

    def _turn_to(self, page: Page) -> None:
        """Open a page, or close it if it is open."""
        self.page, self.scroll = "loop" if self.page == page else page, 0


def picture(
    live: Live,
    place: Place,
    width: int,
    height: int,
    *,
    title: str,
    message: str = "",
    ascii_only: bool = False,
) -> list[Text]:
    """The lines of the screen, at most `height` of them, none wider than `width`."""
    wanted = needs(live.loop, live)
    lines = [_headline(live, title, wanted)]
    keys = "tab config  " if len(live.loop.configs) > 1 else ""
    foot = [Text(one_line(message), style="dim")] if message else []
    back = "esc back  q quit  up/down scroll"
    foot.append(
        Text(back if place.page != "loop" else f"{keys}up/down scroll  {KEYS}", style="dim")
    )
    room = height - len(lines) - len(foot)
    match place.page:
        case "needs":
            body = scrolled(list(_all_needs(wanted, width)), place, room)
        case "processes":
            body = scrolled(list(process_lines(live)), place, room)
        case "loop":
            body = _loop(live, place, wanted, width, room)
    lines += body
    lines += [Text()] * (height - len(lines) - len(foot))
    lines += foot
    for line in lines:
        if ascii_only:
            line.plain = line.plain.translate(ASCII)
        line.no_wrap = True
        line.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return lines[:height]


def scrolled(lines: list[Text], place: Place, room: int) -> list[Text]:
    """The part of the lines that is in view; `place` is moved back if it is beyond the end."""
    place.scroll = min(place.scroll, max(0, len(lines) - room))
    return lines[place.scroll : place.scroll + room]


def life(live: Live) -> str:
    """Whether the server answers, since when it does not, and what is done about it."""
    if silent := live.silent_seconds:
        since = datetime.fromtimestamp(live.wall() - silent).strftime("%H:%M:%S")
        return f"no answer from the server since {since} ({clock(silent)}); trying again"
    if not live.ready:
        return f"reading the log: {live.loop.seq:,} of {live.tail:,} events"
    if live.cluster is None:
        return "connected"
    lacking = not all(live.cluster.running.get(name) for name in EXPECTED)
    starts = live.cluster.starting or not (live.missing.names or live.vacant.names)
    return "starting" if lacking and starts else live.cluster.health.level.lower()


def _headline(live: Live, title: str, wanted: list[Need]) -> Text:
    line = Text(f"RingRift  {title}  EVENTS/{live.loop.seq}  ", style="bold")
    if live.silent_seconds:
        return line.append("no answer", style="bold red")
    bad = any(need.failure for need in wanted)
    return line.append(life(live), style="bold red" if bad else "green")


def _need(need: Need) -> Text:
    line = Text("● ", style="red" if need.failure else "yellow")
    line.append(one_line(need.what))
    said = need.why or need.remedy
    return line.append(f": {one_line(said)}" if said else "")


def _all_needs(wanted: list[Need], width: int) -> Iterator[Text]:
    if not wanted:
        yield Text("nothing needs a person", style="green")
    for need in wanted:
        for number, line in enumerate(textwrap.wrap(_need(need).plain, max(20, width))):
            yield Text(
                line if not number else f"  {line}", style="red" if need.failure else "yellow"
            )
        if need.why and need.remedy:
            text = f"  → {one_line(need.remedy)}"
            yield from map(Text, textwrap.wrap(text, max(20, width), subsequent_indent="    "))


def _loop(live: Live, place: Place, wanted: list[Need], width: int, room: int) -> list[Text]:
    """What needs a person, a line for each config, the selected config, the processes."""
    lines = [Text(f"● {life(live)}", style="red")] if live.silent_seconds else []
    for need in wanted[:NEEDS_SHOWN]:
        lines.append(_need(need))
        if need.why and need.remedy and len(wanted) <= NEEDS_SHOWN // 2:
            lines.append(Text(f"  → {one_line(need.remedy)}"))
    if len(wanted) > NEEDS_SHOWN:
        lines.append(Text(f"  and {len(wanted) - NEEDS_SHOWN} more: press n"))
    configs = list(live.loop.configs.values())
    if not configs:
        return [*lines, Text("waiting for the first settings")][:room]
    place.config = min(place.config, len(configs) - 1)
    chosen = configs[place.config]
    last = [_processes(live)]
    shown = max(1, min(len(configs), (room - len(lines)) // 3))
    first = min(max(0, place.config - shown + 1), len(configs) - shown)
    if len(configs) > 1:
        lines += [
            _config_line(live, item, width, chosen=item is chosen)
            for item in configs[first : first + shown]
        ]
    lines += [Text(), *stage_lines(live, chosen, width), Text()]
    rest = room - len(lines) - len(last)
    rows = [row for _, row in sorted(chosen.generations.items(), reverse=True)]
    if rows and rest > 1:
        lines.append(_row_head(width))
        lines += scrolled([_row(chosen, row, width) for row in rows], place, rest - 1)
    rest = room - len(lines) - len(last)
    if rest > EVENTS_SHOWN_MIN:
        lines.append(Text("newest events", style="dim"))
        lines += map(_event, list(live.recent)[1 - rest :])
    return lines[: room - len(last)] + last


def _event(recorded: Recorded) -> Text:
    event, meta = recorded
    line = Text(f"{meta.seq:>7} {meta.time.astimezone():%H:%M:%S}  {type(event).__name__} ")
    line.append(meta.subject.split(".")[2], style="cyan")
    return line.append(f"  {fields_line(event)}")


def _config_line(live: Live, item: ConfigView, width: int, *, chosen: bool) -> Text:
    left = f"{'▸' if chosen else ' '} {item.config:<13} {item.doing}"
    right = f"{live.games(item.config):,} games  {strength(item)}"
    space = max(1, width - len(left) - len(right))
    return Text(f"{left}{' ' * space}{right}", style="bold" if chosen else "")


def strength(item: ConfigView) -> str:
    """The Elo of the current network with half of its 95 % interval."""
    best = item.rating_of(item.current)
    return f"Elo {elo_text(best)}" if best else ""


def stage_lines(live: Live, item: ConfigView, width: int) -> list[Text]:
    """What a config is doing, with its numbers; one line for each match that is being played."""
    head = Text(f"{item.config}: {item.doing}", style="bold")
    if "stopped" in item.doing:
        head.stylize("red")
    lines = [head]
    games = live.games(item.config)
    if games < item.games_planned:
        done, wanted = max(0, games - item.games_before), item.games_planned - item.games_before
        hourly = live.games_an_hour(item.config)
        left = (item.games_planned - games) / hourly * 3600 if hourly else 0
        speed = f", {hourly:,.0f} an hour, {clock(left)} left" if hourly else ""
        lines.append(Text(f"  {bar(done, wanted)} {done:,} of {wanted:,} games{speed}"))
    if now := item.training:
        pace = f"loss {now.loss:.3f}, {now.samples_per_second:,.0f} samples/s"
        text = f"step {now.step:,} of {now.steps:,}, {pace}"
        lines.append(Text(f"  {bar(now.step, now.steps)} {text}"))
    for match in live.running.open(item.config):
        lines.append(Text(f"  {match_text(match, live)}"))
    totals = f"  {games:,} games, {item.samples:,} samples; {eta(live, item)}"
    if item.current:
        totals = f"  current {short(item.current)}  {strength(item)};{totals}"
    lines += map(Text, textwrap.wrap(totals, max(20, width), subsequent_indent="  "))
    return lines


def match_text(match: Match, live: Live) -> str:
    """A match as it stands: its score so far and, for a test, the log-likelihood ratio between its
    thresholds."""
    now = match.standing(live.promotion)
    score = "no game yet" if now.score is None else f"score {now.score:.1%}"
    if match.purpose != "promotion":
        who = match.opponent.participant.split(":")[1] if match.purpose in _BASELINES else "others"
        return f"against {who}: {now.games} of {now.games_wanted} games, {score}"
    starts = f"trial: {now.starts} of {now.starts_max} starts"
    if (found := now.evidence) is None:
        return f"{starts}, {now.games} games, {score}"
    ratio = f"LLR {found.llr:+.2f} {between(found.llr, found.lower, found.upper)}"
    return f"{starts}, {score}, {ratio}"


_BASELINES = ("random", "heuristic")


def between(value: float, low: float, high: float) -> str:
    """Where a value is between a lower and an upper threshold."""
    share = (min(max(value, low), high) - low) / (high - low)
    at = round(share * (BAR - 1))
    line = "".join("█" if n == at else "░" for n in range(BAR))
    return f"{low:.2f} {line} {high:.2f}"


def bar(done: float, wanted: float) -> str:
    """A bar of the part that is done."""
    full = round(BAR * min(1.0, max(0.0, done / wanted))) if wanted else 0
    return "█" * full + "░" * (BAR - full)


def eta(live: Live, item: ConfigView) -> str:
    """The time left at the pace of the generations judged so far, in words."""
    if not (wanted := live.loop.generations_wanted):
        return "runs until stopped"
    left = item.seconds_left(wanted)
    return "ETA known after two generations" if left is None else f"ETA {clock(left)}"


def _row_head(width: int) -> Text:
    heads = ("gen", "games", "samples", "loss", "random", "heuristic", "Elo")
    return Text(_columns(heads, width) + "  verdict", style="dim")


def _row(item: ConfigView, row: Generation, width: int) -> Text:
    rating = item.rating_of(row.model)
    cells = (
        str(row.number),
        f"{row.games:,}",
        f"{row.samples:,}",
        "" if row.loss is None else f"{row.loss:.3f}",
        *(score_text(row.scores.get(name), width) for name in _BASELINES),
        elo_text(rating) if rating else "",
    )
    verdict = one_line(verdict_of(item, row))
    color = {True: "green", False: "", None: "cyan"}[row.promoted]
    return Text(_columns(cells, width) + "  ").append(verdict, style=color)


def _columns(cells: tuple[str, ...], width: int) -> str:
    widths = (3, 7, 9, 6, 15, 15, 12) if width >= WIDE else (3, 6, 8, 5, 6, 9, 10)
    return " ".join(cell.rjust(size) for cell, size in zip(cells, widths, strict=True))


def _processes(live: Live) -> Text:
    """The processes in one line: how many run, which are missing, the farthest behind, errors."""
    if live.beats is None:
        return Text("processes: not known yet", style="dim")
    missing = live.missing.names
    line = Text(f"{plural(len(live.beats), 'process', 'processes')} on ", style="dim")
    line.append(plural(len({beat.node for beat in live.beats}), "node"))
    if missing and live.beats:
        line.append(f"; missing: {', '.join(missing)}", style="red")
    errors = sum(beat.errors for beat in live.beats)
    lags = {beat.consumer: lag for beat in live.beats if (lag := beat.behind(live.tail))}
    if lags:
        name = max(lags, key=lags.__getitem__)
        line.append(f"; {name} is {plural(lags[name], 'event')} behind")
    line.append(f"; {plural(errors, 'error')}" if errors else "")
    if live.loop.used:
        *_, (_, whole) = used([live.loop.used]).items()
        line.append(f"; cores {whole}")
    return line


def process_lines(live: Live) -> Iterator[Text]:
    """One line for each process, the missing ones first."""
    beats = live.beats or []
    for name in EXPECTED:
        if all(beat.consumer != name for beat in beats):
            if name in live.missing.names:
                text, style = "missing: start it with `ringrift up` or its unit", "red"
            else:
                text, style = "no heartbeat now", "dim"
            yield Text(f"{name:<11} {text}", style=style)
    for beat in sorted(beats, key=lambda beat: (beat.consumer, beat.node, beat.instance)):
        behind = beat.behind(live.tail)
        lag = " " * 12 if behind is None else f"{behind:>5} behind"
        errors = plural(beat.errors, "error") if beat.errors else ""
        doing = one_line(beat.doing)
        yield Text(f"{beat.consumer:<11} {one_line(beat.node, 16):<16} {lag}  {errors:>9}  {doing}")
