"""Data of another system: games and matches that were played there."""

from typing import Annotated

from msgspec import Meta

from ringrift.events.facts.play import Ranking
from ringrift.events.facts.vocabulary import *
from ringrift.events.patterns import matching

IMPORTED_NODE = "import-"
"""how the `node` of imported games begins; the name of their source follows"""
MATCH_ID_BYTES = 8
SourceName = Annotated[
    str, matching("[a-z0-9_-]{1,50}", "a name of 1 to 50 lower-case letters, digits, `_` and `-`")
]


class ImportStarted(Fact, subject="import.all.started"):
    """A person imports games of another system from `files` files, under the name `source`.

    The games are of origin `import`, on the node `import-<source>`, and cite this fact."""

    source: SourceName
    files: Count


class GamesImported(ConfigFact, subject="import.{config}.games-imported", for_people=True):
    """An import is done with the games of a config: `games` are in the log; `others` counts those
    that are not, by the reason."""

    source: SourceName
    games: Count
    others: dict[Name, Count]


class MatchesImported(ConfigFact, subject="import.{config}.matches-imported"):
    """Results of matches that were played elsewhere, by participants named `legacy:...`; they are
    rated with ours. `rankings` holds all `games`; `ids` has `MATCH_ID_BYTES` for each, by which
    those that were imported before are known."""

    source: SourceName
    games: Positive
    rankings: Annotated[tuple[Ranking, ...], Meta(min_length=1, max_length=ITEMS_MAX)]
    ids: Annotated[bytes, Meta(max_length=MATCH_ID_BYTES * ITEMS_MAX)]

    def __post_init__(self) -> None:
        law(sum(row.count for row in self.rankings) == self.games, "games do not add up")
        law(len(self.ids) == MATCH_ID_BYTES * self.games, "every game has an id")
        seats = seats_of(self.config)
        law(all(len(row.order) == seats for row in self.rankings), "a ranking has every seat")


class MatchesRetracted(ConfigFact, subject="import.{config}.matches-retracted"):
    """A person excludes from the ratings all results that were imported from a source since the
    last such fact about it; `rankings` holds their `games`. They may be imported again."""

    source: SourceName
    games: Positive
    rankings: Annotated[tuple[Ranking, ...], Meta(min_length=1, max_length=ITEMS_MAX)]
    why: Text

    def __post_init__(self) -> None:
        law(sum(row.count for row in self.rankings) == self.games, "games do not add up")
        seats = seats_of(self.config)
        law(all(len(row.order) == seats for row in self.rankings), "a ranking has every seat")
