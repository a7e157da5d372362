"""Games: planned, played, searched again, retracted."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.facts.vocabulary import *


class Seat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The player at one seat of a game.

    `simulations` is the search budget per decision, 0 without search; `evaluator` computes the
    values of leaves. The other options change play too. Names of participants are derived from the
    options that differ from their defaults, so the defaults never change."""

    participant: str
    harness: Harness
    simulations: Count = 0
    model: Sha256 | None = None
    evaluator: Literal["network", "nnue", "heuristic", "none"] = "none"
    considered: Positive = 16
    """moves sampled at the root of a Gumbel search"""
    noise_plies: Count = 0
    """plies at the start of a game in which moves are sampled with noise"""


class GameCompleted(TicketFact, subject="game.{config}.completed", stream="GAMES"):
    """One whole game, with everything that training needs.

    `moves` holds the move tokens of the rules' notation, separated by blanks, bookkeeping included.
    `targets` holds the improved policy and root value of every searched decision in the format of
    `ringrift.learning.targets` (base64 in JSON). `ranks[i]` is the final rank of seat i + 1; ties
    share a rank. `removed` counts the removed rings credited to each seat, `territory` the
    collapsed cells of each. `seed` determines the game's random choices. Games of origin
    `tournament` only measure (`MEASURING`) and are in no shard."""

    game: str
    origin: Literal["selfplay", "evaluation", "tournament", "reanalysis", "import"]
    seats: tuple[Seat, ...]
    pie: bool
    seed: Count
    moves: str
    plies: Count
    winner: Annotated[int, Meta(ge=0, le=4)]
    reason: str
    ranks: tuple[int, ...]
    removed: tuple[int, ...]
    territory: tuple[int, ...]
    targets: bytes
    rules_version: int
    play_seconds: float
    settings_version: Count


class GameReanalysed(TicketFact, subject="game.{config}.reanalysed", stream="GAMES"):
    """New targets of an earlier game, from a search with a newer network.

    The game is message `game_seq` of `GAMES` and stays unchanged. Shards exported from now on use
    the newest targets."""

    game: str
    game_seq: Positive
    model: Sha256
    simulations: Positive
    targets: bytes
    search_seconds: float
    settings_version: Count


class SelfplayPlanned(GenerationDecision, subject="selfplay.{config}.planned"):
    """Play `games` games of one generation, in tickets of `games_per_ticket`; the last ticket may
    be smaller.

    Without a `model` the search values leaves with the handcrafted heuristic."""

    games: Positive
    games_per_ticket: Positive
    simulations: Positive
    model: Sha256 | None
    seed: Count
    noise_plies: Count | None = None
    """plies with noise, if exploration was adjusted; None uses the setting"""
    spare: bool = False
    """played on idle nodes; the generation does not wait for these games"""


class SelfplayFinished(GenerationFact, subject="selfplay.{config}.finished"):
    """The games of one ticket are in the log, except `lost` games that could not be played."""

    games: Count
    lost: Count = 0
    plies: Count
    play_seconds: float
    spare: bool = False
    """as in the plan"""


class Ranking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` games ended with these participants from best to worst; `ranks` shows ties, such as
    1, 2, 2, 4."""

    order: tuple[str, ...]
    ranks: tuple[int, ...]
    count: Positive


class GamesRetracted(ConfigFact, subject="retraction.{config}.games-retracted"):
    """Games of a config are excluded from ratings, shards and future training windows.

    They are the games of messages `first_seq` to `last_seq` of `GAMES` that match `node`, `model`
    and `games`, as far as these are given. Scores are per ticket, so a ticket with one retracted
    game is left out of the ratings entirely. `rankings` holds the results to subtract, those of
    `scored_games` games."""

    node: str | None = None
    model: Sha256 | None = None
    games: tuple[str, ...] = ()
    first_seq: Positive
    last_seq: Positive
    count: Positive
    scored_tickets: tuple[str, ...] = ()
    """evaluation tickets whose scores are subtracted"""
    unscored_tickets: tuple[str, ...] = ()
    """evaluation tickets without a score yet, whose scores will not count"""
    candidates: tuple[Sha256, ...] = ()
    """networks whose results are among those subtracted"""
    rankings: tuple[Ranking, ...] = ()
    scored_games: Count = 0
    why: str


class ReanalysisRequested(ConfigDecision, subject="reanalysis.{config}.requested"):
    """Search the self-play games of messages `first_seq` to `last_seq` of `GAMES` again with
    `model`, as one ticket."""

    model: Sha256
    first_seq: Positive
    last_seq: Positive
    games: Positive
    simulations: Positive
    seed: Count


class ReanalysisFinished(TicketFact, subject="reanalysis.{config}.finished"):
    """The new targets of one ticket are in `GAMES`, except those of `lost` games that could not be
    searched."""

    model: Sha256
    first_seq: Positive
    last_seq: Positive
    games: Count
    lost: Count = 0
    search_seconds: float
