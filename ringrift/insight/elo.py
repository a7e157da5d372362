"""Ratings as text: `+338 ± 270`, and once beside them `Elo, heuristic = 0, ± 95 %`."""

from ringrift.events.facts import Rating

NO_ANCHOR = "no Elo yet: neither the heuristic nor random play has a game"


def elo_label(zero: str | None) -> str:
    """Name what Elo 0 is: a participant such as `baseline:heuristic:s0`, or words."""
    if zero is None:
        return NO_ANCHOR
    return f"Elo, {_baseline(zero)} = 0, ± 95 %"


def elo_text(row: Rating) -> str:
    """Return Elo with the half-width of its 95 % interval, such as `+338 ± 270`; `0` for the
    anchor."""
    return f"{row.elo:+.0f} ± {row.elo_95_half_width:.0f}" if row.se else f"{row.elo:.0f}"


def unrated_note(unrated: tuple[str, ...], anchor: str | None) -> str | None:
    """Return why some participants have no rating; None if all have one."""
    if not unrated:
        return None
    names = ", ".join(unrated[:3]) + (f" and {len(unrated) - 3} more" if len(unrated) > 3 else "")
    why = f"no chain of games to {_baseline(anchor)}" if anchor else NO_ANCHOR
    return f"no rating for {names}: {why}"


def _baseline(name: str) -> str:
    """`heuristic` for `baseline:heuristic:s0`; a name of another form as it is."""
    return name.split(":")[1] if name.startswith("baseline:") else name
