"""The unified Elo database of the old system: its matches are rated here, its ratings are not.

Two programs wrote into one file, with their own columns for the winner and their own forms of
times. The ratings do not follow from the matches, because baselines were pinned, so they are
refused. A model had two names, `canonical_X` and `ringrift_best_X`, and a decimal point two
spellings; each participant gets one name, `legacy:...`."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ringrift.errors import CommandError
from ringrift.events import draft, facts as f
from ringrift.legacy import databases
from ringrift.legacy.records import number
from ringrift.legacy.words import REFUSED
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.rules import Config, ConfigError

MATCHES_MAX: Final = 20_000
"""of one fact, which must be well below the maximum size of a message"""
_SAME: Final = {"baseline_random": "none:random:d1", "baseline_heuristic": "none:heuristic:d5"}


class Match(NamedTuple):
    """One game: its config, the participants from best to worst, their ranks, and 8 bytes that
    identify it."""

    config: str
    order: tuple[str, ...]
    ranks: tuple[int, ...]
    id: bytes


def participant(old: str) -> str:
    """The name here of a participant of the old system."""
    name = _SAME.get(old.strip(), old.strip())
    model, *rest = name.split(":")
    model = re.sub(r"^canonical_", "ringrift_best_", model)
    settings = [re.sub(r"(?<=\d)\.(?=\d)", "p", part) for part in rest]
    return "legacy:" + re.sub(r"[^!-~]+", "-", ":".join((model, *settings)))[:150]


def matches_in(path: Path) -> tuple[list[Match], Counter[str]]:
    """The matches of a database, and how many others there are by the reason why they cannot be
    rated. Raises CommandError, sqlite3.DatabaseError."""
    found, others = list[Match](), Counter[str]()
    with databases.opened(path) as database:
        if "match_history" in databases.tables(database):
            for row in database.execute("SELECT * FROM match_history"):
                match = _match(databases.row_of(row))
                if isinstance(match, str):
                    others[match] += 1
                else:
                    found.append(match)
    if not found:
        raise CommandError(REFUSED["ratings"])
    return found, others


def _match(row: dict[str, Any]) -> Match | str:
    """A match, or why it cannot be rated."""
    ids, ranking = _list(row.get("participant_ids")), _list(row.get("rankings"))
    old = [str(one) for one in ids or (row.get("participant_a"), row.get("participant_b")) if one]
    try:
        config = Config(str(row.get("board_type")), number(row.get("num_players")) or 0)
    except ConfigError:
        return "unknown_config"
    names = [participant(one) for one in old]
    if len(names) != config.seats:
        return "seats_differ"
    if len(set(names)) < 2:
        return "against_itself"
    winner = row.get("winner") if row.get("winner") is not None else row.get("winner_id")
    if len(ranking) == len(names) and all(isinstance(rank, int) for rank in ranking):
        places = ranking
    elif winner is None:
        places = [0] * len(names)
    elif participant(str(winner)) in names:
        won = participant(str(winner))
        places = [int(name != won) for name in names]
    else:
        return "winner_took_no_part"
    ranks = [1 + sum(other < place for other in places) for place in places]
    pairs = sorted(zip(ranks, names, strict=True))
    what = row.get("game_id") or [row.get("id"), row.get("timestamp"), names, str(winner)]
    digest = hashlib.sha256(json.dumps([config.key, what]).encode()).digest()[: f.MATCH_ID_BYTES]
    return Match(
        config.key, tuple(name for _, name in pairs), tuple(rank for rank, _ in pairs), digest
    )


def _list(text: Any) -> list[Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return []
    return found if isinstance(found, list) else []


async def import_matches(
    log: Log, matches: Sequence[Match], *, source: str, author: str
) -> Counter[str]:
    """Record the matches that are not recorded yet; return how many there were by config."""
    by_source, retractions = dict[str, set[bytes]](), 0
    async for fact, _ in read.facts(log, f.MatchesImported, f.MatchesRetracted):
        if isinstance(fact, f.MatchesImported):
            by_source.setdefault(f"{fact.config} {fact.source}", set()).update(_ids(fact.ids))
        elif isinstance(fact, f.MatchesRetracted):
            by_source.pop(f"{fact.config} {fact.source}", None)
            retractions += 1
    known = set[bytes]().union(*by_source.values())
    new: dict[str, dict[bytes, Match]] = {}
    for match in matches:
        if match.id not in known:
            new.setdefault(match.config, {})[match.id] = match
    count = Counter[str]()
    for config, by_id in sorted(new.items()):
        rows = list(by_id.values())
        for start in range(0, len(rows), MATCHES_MAX):
            new_fact = _fact(config, rows[start : start + MATCHES_MAX], source)
            key = f"{retractions}.{hashlib.sha256(new_fact.ids).hexdigest()}"
            await log.append([draft(new_fact, cause=None, source=author, key=key)])
        count[config] += len(rows)
    return count


def _ids(data: bytes) -> Iterator[bytes]:
    size = f.MATCH_ID_BYTES
    return (data[at : at + size] for at in range(0, len(data), size))


def _fact(config: str, rows: Sequence[Match], source: str) -> f.MatchesImported:
    counts = Counter((row.order, row.ranks) for row in rows)
    return f.MatchesImported(
        config=config,
        source=source,
        games=len(rows),
        rankings=tuple(
            f.Ranking(order=order, ranks=ranks, count=count)
            for (order, ranks), count in sorted(counts.items())
        ),
        ids=b"".join(sorted(row.id for row in rows)),
    )
