"""Games: what is to be played and searched again, what was, and what no longer counts."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.facts.vocabulary import ConfigName, Count, Fact, Harness, Sha256


class Seat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who sat at one seat of a game.

    `simulations` is the search budget a decision, 0 without search; `evaluator` tells what valued
    the leaves. What follows are the other options that change play. Their defaults are part of the
    names of participants and therefore never change."""

    participant: str
    harness: Harness
    simulations: Count = 0
    model: Sha256 | None = None
    evaluator: Literal["network", "nnue", "heuristic", "none"] = "none"
    considered: Annotated[int, Meta(ge=1)] = 16
    """moves sampled at the root of a Gumbel search"""
    noise_plies: Count = 0
    """plies at the start of a game in which moves are sampled with noise"""


class GameCompleted(Fact, subject="game.{config}.completed", stream="GAMES"):
    """One whole game, with all that training needs.

    `moves` are the tokens of the rules' notation separated by blanks, bookkeeping included.
    `targets` holds the improved policy and root value of every searched decision in the format of
    `ringrift.learning.targets` (base64 in JSON). `ranks[i]` is the final rank of seat i + 1, ties
    share a rank. `seed` made the game's choices. Games of origin `tournament` only measure
    (`MEASURING`): they are in no shard."""

    game: str
    config: ConfigName
    origin: Literal["selfplay", "evaluation", "tournament", "reanalysis", "import"]
    ticket: str
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
    node: str
    settings_version: Count


class GameReanalysed(Fact, subject="game.{config}.reanalysed", stream="GAMES"):
    """New targets of an old game, searched again by another network; the game itself stays as it
    was played.

    `seq` is where the game is in `GAMES`. Shards that are made from here on use the newest targets
    there are."""

    game: str
    config: ConfigName
    game_seq: Annotated[int, Meta(ge=1)]
    ticket: str
    model: Sha256
    simulations: Annotated[int, Meta(ge=1)]
    targets: bytes
    search_seconds: float
    node: str
    settings_version: Count


class SelfplayPlanned(Fact, subject="selfplay.{config}.planned"):
    """Play `games` games of one generation, in tickets of `games_per_ticket`; the last ticket may
    be smaller.

    Without a `model` the search values leaves with the handcrafted heuristic."""

    config: ConfigName
    generation: Count
    games: Annotated[int, Meta(ge=1)]
    games_per_ticket: Annotated[int, Meta(ge=1)]
    simulations: Annotated[int, Meta(ge=1)]
    model: Sha256 | None
    seed: Count
    settings_version: Count
    noise_plies: Count | None = None
    """plies with noise where exploration was adjusted; None: as the settings say"""
    spare: bool = False
    """played because the fleet had room: the generation does not wait for these games"""


class SelfplayFinished(Fact, subject="selfplay.{config}.finished"):
    """Every game of one ticket is in the log, but `lost` ones that could not be played."""

    config: ConfigName
    generation: Count
    ticket: str
    games: Count
    lost: Count = 0
    plies: Count
    play_seconds: float
    node: str
    spare: bool = False
    """as in the plan"""


class Ranking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` games ended with these participants from best to worst; `ranks` shows ties, such as
    1, 2, 2, 4."""

    order: tuple[str, ...]
    ranks: tuple[int, ...]
    count: Annotated[int, Meta(ge=1)]


class GamesRetracted(Fact, subject="retraction.{config}.games-retracted"):
    """Games of a config that count as if they had never come: in ratings, shards and the windows of
    trainings from here on.

    They are those from `first_seq` to `last_seq` of `GAMES` that `node` played, in which `model`
    sat, and that `games` names, each as far as it is given. A score is of a whole ticket, so a
    ticket with one such game is left out of the ratings whole: rather lose good results than keep
    bad ones. `rankings` is what these tickets had brought (`scored_games` games), to be taken
    back."""

    config: ConfigName
    node: str | None = None
    model: Sha256 | None = None
    games: tuple[str, ...] = ()
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    count: Annotated[int, Meta(ge=1)]
    scored_tickets: tuple[str, ...] = ()
    """evaluation tickets whose scores are taken back"""
    unscored_tickets: tuple[str, ...] = ()
    """evaluation tickets whose scores will not count when they come"""
    candidates: tuple[Sha256, ...] = ()
    """networks whose results are among those taken back"""
    rankings: tuple[Ranking, ...] = ()
    scored_games: Count = 0
    why: str


class ReanalysisRequested(Fact, subject="reanalysis.{config}.requested"):
    """Search the self-play games of `GAMES` from `first_seq` to `last_seq` again with `model`: one
    ticket."""

    config: ConfigName
    model: Sha256
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    games: Annotated[int, Meta(ge=1)]
    simulations: Annotated[int, Meta(ge=1)]
    seed: Count
    settings_version: Count


class ReanalysisFinished(Fact, subject="reanalysis.{config}.finished"):
    """The new targets of one ticket are in `GAMES`, but of `lost` games that could not be
    searched."""

    config: ConfigName
    ticket: str
    model: Sha256
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    games: Count
    lost: Count = 0
    search_seconds: float
    node: str
