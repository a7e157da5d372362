"""Games: planned, played, searched again, retracted."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from ringrift.events.facts.vocabulary import *
from ringrift.events.settings.kinds import PerTicket, Simulations

PLIES_MAX = 100_000
"""far above the longest game that the rules allow"""
MOVES_CHARS_MAX = 4_000_000
TARGETS_BYTES_MAX = 64 * 1024**2
TICKETS_MAX = 10_000
"""tickets of one plan: ten times what the queue holds"""
OPPONENTS_MAX = 16
"""of one plan"""

UNLEARNED = frozenset({"tournament", "human"})
"""origins of games that no network learns from, unless a shard names them"""

T = TypeVar("T")
BySeat = Annotated[tuple[T, ...], Meta(min_length=2, max_length=4)]
Targets = Annotated[bytes, Meta(max_length=TARGETS_BYTES_MAX)]


def _are_ranks(ranks: Sequence[int]) -> bool:
    """Whether ascending ranks begin at 1 and only those of ties repeat, such as 1, 2, 2, 4."""
    return all(
        rank in (place, ranks[place - 2] if place > 1 else 1)
        for place, rank in enumerate(ranks, start=1)
    )


class Seat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The player at one seat of a game.

    `simulations` is the search budget per decision, 0 without search; `evaluator` computes the
    values of leaves. The other options change play too. Names of participants are derived from the
    options that differ from their defaults, so the defaults never change."""

    participant: Name
    harness: Harness
    simulations: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    model: Sha256 | None = None
    evaluator: Literal["network", "nnue", "heuristic", "none"] = "none"
    considered: Annotated[int, Meta(ge=1, le=10_000)] = 16
    """moves sampled at the root of a Gumbel search, at most: a quarter of its simulations, at least
    2"""
    noise_plies: Annotated[int, Meta(ge=0, le=PLIES_MAX)] = 0
    """plies at the start of a game in which moves are sampled with noise"""


class GameCompleted(TicketFact, subject="game.{config}.completed", stream="GAMES"):
    """One whole game, with everything that training needs.

    `moves` holds the move tokens of the rules' notation, separated by blanks, bookkeeping included.
    `targets` holds the improved policy and root value of every searched decision in the format of
    `ringrift.learning.targets` (base64 in JSON). `ranks[i]` is the final rank of seat i + 1; ties
    share a rank. `removed` counts the removed rings credited to each seat, `territory` the
    collapsed cells of each. `seed` determines the game's random choices. Games of origin
    `tournament` only measure (`MEASURING`), and those of origin `human` are of people; neither are
    in a shard, unless the settings `shard.tournaments` and `shard.people` admit them. The ticket of
    a game of people is its own id. Games of origin `import` were played by another system, under
    the names `legacy:...`: harness and budget of a seat are the nearest of ours, and `node` names
    the source (`ImportStarted`)."""

    game: Name
    origin: Literal["selfplay", "evaluation", "tournament", "reanalysis", "human", "import"]
    seats: BySeat[Seat]
    pie: bool
    seed: Count
    moves: Annotated[str, Meta(max_length=MOVES_CHARS_MAX)]
    plies: Annotated[int, Meta(ge=0, le=PLIES_MAX)]
    winner: Annotated[int, Meta(ge=0, le=4)]
    reason: Text
    ranks: BySeat[Count]
    removed: BySeat[Count]
    territory: BySeat[Count]
    targets: Targets
    rules_version: Count
    play_seconds: NonNegative
    settings_version: Count

    def __post_init__(self) -> None:
        seats = seats_of(self.config)
        per_seat = (self.seats, self.ranks, self.removed, self.territory)
        law(all(len(values) == seats for values in per_seat), "seats differ from the config")
        law(_are_ranks(sorted(self.ranks)), "ranks are not those of a game")
        law(self.winner <= seats, "the winner has no seat")
        law(self.winner == 0 or self.ranks[self.winner - 1] == 1, "the winner has rank 1")


class GameReanalysed(
    TicketFact, subject="game.{config}.reanalysed", stream="GAMES", version=2, upcasters={1: dict}
):
    """New targets of an earlier game, from a search with a newer network, or with the heuristic if
    there is no `model` (since version 2).

    The game is message `game_seq` of `GAMES` and stays unchanged. Shards exported from now on use
    the newest targets."""

    game: Name
    game_seq: Positive
    model: Sha256 | None
    simulations: Positive
    targets: Targets
    search_seconds: NonNegative
    settings_version: Count


class SelfplayPlanned(GenerationDecision, subject="selfplay.{config}.planned"):
    """Play `games` games of one generation, in tickets of `games_per_ticket`; the last ticket may
    be smaller.

    Without a `model` the search values leaves with the handcrafted heuristic. In
    `opponent_share` of the games another player has one seat, whose decisions are learned from only
    if its search makes a policy."""

    games: Positive
    games_per_ticket: PerTicket
    simulations: Simulations
    model: Sha256 | None
    seed: Count
    noise_plies: Count | None = None
    """plies with noise, if exploration was adjusted; None uses the setting"""
    spare: bool = False
    """played on idle nodes; the generation does not wait for these games"""
    owed: bool = False
    """its config is behind its share, so spare games have the priority of a generation's"""
    tickets: Annotated[tuple[Positive, ...], Meta(max_length=TICKETS_MAX)] = ()
    """games of each ticket; empty: `games_per_ticket` in all but the last"""
    opponents: Annotated[tuple[Seat, ...], Meta(max_length=OPPONENTS_MAX)] = ()
    """one of them, chosen by the seed, plays in the games of a ticket that have an opponent"""
    opponent_share: Share = 0.0
    """part of the games in which it has one seat, chosen by the seed; the network of the plan has
    the others"""

    def __post_init__(self) -> None:
        law(self.games <= TICKETS_MAX * self.games_per_ticket, "too many tickets for one plan")
        if self.tickets:
            law(sum(self.tickets) == self.games, "the tickets have other games than the plan")
            law(max(self.tickets) <= self.games_per_ticket, "a ticket is too large")
        law(self.opponents or not self.opponent_share, "a share of games without an opponent")


class SelfplayFinished(GenerationFact, subject="selfplay.{config}.finished"):
    """The games of one ticket are in the log, except `lost` games that could not be played."""

    games: Count
    lost: Count = 0
    plies: Count
    play_seconds: NonNegative
    spare: bool = False
    """as in the plan"""


class Ranking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` games ended with these participants from best to worst; `ranks` shows ties, such as
    1, 2, 2, 4."""

    order: BySeat[str]
    ranks: BySeat[Count]
    count: Positive

    def __post_init__(self) -> None:
        law(len(self.order) == len(self.ranks), "every participant has a rank")
        law(_are_ranks(self.ranks), "ranks are not those of a game")
        law(len({*self.order}) > 1, "a ranking needs two different participants")


class GamesRetracted(ConfigFact, subject="retraction.{config}.games-retracted"):
    """Games of a config are excluded from ratings, shards and future training windows.

    They are the games of messages `first_seq` to `last_seq` of `GAMES` that match `node`, `model`
    and `games`, as far as these are given. Scores are per ticket, so a ticket with one retracted
    game is left out of the ratings entirely. `rankings` holds the results to subtract, those of
    `scored_games` games."""

    node: Token | None = None
    model: Sha256 | None = None
    games: Annotated[tuple[Name, ...], Meta(max_length=ITEMS_MAX)] = ()
    first_seq: Positive
    last_seq: Positive
    count: Positive
    scored_tickets: tuple[Name, ...] = ()
    """evaluation tickets whose scores are subtracted"""
    unscored_tickets: tuple[Name, ...] = ()
    """evaluation tickets without a score yet, whose scores will not count"""
    candidates: tuple[Sha256, ...] = ()
    """networks whose results are among those subtracted"""
    rankings: tuple[Ranking, ...] = ()
    scored_games: Count = 0
    why: Text

    def __post_init__(self) -> None:
        law(self.first_seq <= self.last_seq, "first_seq is behind last_seq")
        law(sum(row.count for row in self.rankings) == self.scored_games, "games do not add up")


class ReanalysisRequested(
    ConfigDecision, subject="reanalysis.{config}.requested", version=2, upcasters={1: dict}
):
    """Search the games of an origin in messages `first_seq` to `last_seq` of `GAMES` again with
    `model`, or with the heuristic if there is none (since version 2), as one ticket."""

    model: Sha256 | None
    first_seq: Positive
    last_seq: Positive
    games: PerTicket
    simulations: Simulations
    seed: Count
    origin: Literal["selfplay", "import"] = "selfplay"

    def __post_init__(self) -> None:
        law(self.first_seq <= self.last_seq, "first_seq is behind last_seq")


class ReanalysisFinished(
    TicketFact, subject="reanalysis.{config}.finished", version=2, upcasters={1: dict}
):
    """The new targets of one ticket are in `GAMES`, except those of `lost` games that could not be
    searched."""

    model: Sha256 | None
    first_seq: Positive
    last_seq: Positive
    games: Count
    lost: Count = 0
    search_seconds: NonNegative
