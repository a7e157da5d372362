"""The facts: every event type of the system, in the order of the loop.

A fact is frozen, keyword-only and versioned. Fields are never renamed or given another meaning: a change is a new
version and an upcaster (`ringrift.events.registry`). Shared vocabulary of the fields:

- `config`: key of a board and seat count, such as `hex8_2p`; it is also the scope token of the subject.
- `model`: SHA-256 of a network's blob, 64 hex digits, or None where no network took part.
- `participant`: `<first 12 digits of model, or "baseline">:<harness>:<config of the search>`, the unit that has a rating; made
  by `ringrift.events.participants`.
- `settings_version`: version of the `SettingsChanged` in force when the decision was taken.
- times are in the envelope, durations are in seconds and end in `_seconds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.settings import Settings

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Token = Annotated[str, Meta(pattern="^[a-z0-9_-]{1,64}$")]
Count = Annotated[int, Meta(ge=0)]
if TYPE_CHECKING:
    ConfigName = str
else:  # a choice is checked ten times as fast as a pattern, which was half the time of decoding an event
    ConfigName = Literal[
        "square8_2p", "square8_3p", "square8_4p", "square19_2p", "square19_3p", "square19_4p",
        "hex8_2p", "hex8_3p", "hex8_4p", "hexagonal_2p", "hexagonal_3p", "hexagonal_4p",
    ]  # fmt: skip
Harness = Literal["gumbel", "gpu_gumbel", "minimax", "maxn", "brs", "policy", "descent", "heuristic", "random"]
Purpose = Literal["promotion", "random", "heuristic", "strength", "ladder", "gauntlet", "tier", "tournament"]
"""what a match is for: the first three are the loop's own, the others (`MEASURING`) are asked for by people"""
MEASURING = frozenset({"strength", "ladder", "gauntlet", "tier", "tournament"})
"""purposes of matches that only measure: everyone in them is rated, but nobody is judged by them or learns from their games"""
Severity = Literal["minor", "major", "critical"]
Pace = Literal["regressing", "stalled", "steady", "fast"]
"""how fast a config grows stronger, slowest first; the bounds are settings (`velocity`)"""


class Fact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of every fact; see `ringrift.events.registry` for its subject, emitter and consumers.

    `gc=False`: facts hold values only and form no cycles, so the collector need not walk the thousands of a replay."""


class Seat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who sat at one seat of a game.

    `simulations` is the search budget a decision, 0 without search; `evaluator` tells what valued the leaves. What follows are the
    other options that change play. Their defaults are part of the names of participants and therefore never change."""

    participant: str
    harness: Harness
    simulations: Count = 0
    model: Sha256 | None = None
    evaluator: Literal["network", "nnue", "heuristic", "none"] = "none"
    considered: Annotated[int, Meta(ge=1)] = 16
    """moves sampled at the root of a Gumbel search"""
    noise_plies: Count = 0
    """plies at the start of a game in which moves are sampled with noise"""


class GameCompleted(Fact, frozen=True, kw_only=True):
    """One whole game, with all that training needs.

    `moves` are the tokens of the rules' notation separated by blanks, bookkeeping included. `targets` holds the improved
    policy and root value of every searched decision in the format of `ringrift.learning.targets` (base64 in JSON).
    `ranks[i]` is the final rank of seat i + 1, ties share a rank. `seed` made the game's choices. Games of origin `tournament`
    only measure (`MEASURING`): they are in no shard."""

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


class GameReanalysed(Fact, frozen=True, kw_only=True):
    """New targets of an old game, searched again by another network; the game itself stays as it was played.

    `seq` is where the game is in `GAMES`. Shards that are made from here on use the newest targets there are."""

    game: str
    config: ConfigName
    seq: Annotated[int, Meta(ge=1)]
    ticket: str
    model: Sha256
    simulations: Annotated[int, Meta(ge=1)]
    targets: bytes
    search_seconds: float
    node: str
    settings_version: Count


class SettingsChanged(Fact, frozen=True, kw_only=True):
    """The settings in force from here on, whole; `version` counts from 1."""

    version: Annotated[int, Meta(ge=1)]
    settings: Settings
    why: str


class PipelinePaused(Fact, frozen=True, kw_only=True):
    """No new work of `kind` is planned in `scope` (a config, or `all`) until `PipelineResumed`."""

    scope: Token
    kind: Literal["all", "selfplay", "training", "evaluation"] = "all"
    why: str


class PipelineResumed(Fact, frozen=True, kw_only=True):
    """Ends a `PipelinePaused` of the same scope and kind."""

    scope: Token
    kind: Literal["all", "selfplay", "training", "evaluation"] = "all"
    why: str


class SelfplayPlanned(Fact, frozen=True, kw_only=True):
    """Play `games` games of one generation, in tickets of `games_per_ticket`; the last ticket may be smaller.

    Without a `model` the search values leaves with the handcrafted heuristic."""

    config: ConfigName
    generation: Count
    games: Annotated[int, Meta(ge=1)]
    games_per_ticket: Annotated[int, Meta(ge=1)]
    simulations: Annotated[int, Meta(ge=1)]
    model: Sha256 | None
    seed: Count
    settings_version: Count
    temperature_plies: Count | None = None
    """plies with noise where exploration was adjusted; None: as the settings say"""
    spare: bool = False
    """played because the fleet had room: the generation does not wait for these games"""


class SelfplayFinished(Fact, frozen=True, kw_only=True):
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


class ShardSummary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the self-play games of a shard were like, in whole numbers so that every machine finds the same.

    games         self-play games that replay to their recorded end
    wins          of them, won by seat 1, 2, ...; the rest had no winner
    plies, plies_squared   sums over games
    openings      distinct sequences of the first `OPENING_TOKENS` moves (`ringrift.learning.summary`)
    participants  who sat at the boards, in alphabetical order, at most `PARTICIPANTS_MAX`
    decisions, agreed   searched decisions, and those whose root value was highest for the seat that won"""

    games: Annotated[int, Meta(ge=1)]
    wins: tuple[Count, ...]
    plies: Count
    plies_squared: Count
    openings: Count
    participants: tuple[str, ...]
    decisions: Count
    agreed: Count


class ShardExported(Fact, frozen=True, kw_only=True):
    """Games `first_seq..last_seq` of this config in `GAMES` as training samples; a pure function of that range and `encoder`.

    The next shard begins at `last_seq + 1`, so every game is in exactly one shard per encoder version."""

    config: ConfigName
    encoder: str
    index: Count
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    games: Count
    samples: Count
    rejected: Count
    digest: Sha256
    size_bytes: Count
    summary: ShardSummary | None = None
    """None in a shard without self-play games, and in facts of older builds"""
    supersedes: Sha256 | None = None
    """the shard of the same range that this one takes the place of, because games were retracted or reanalysed"""
    retracted: Count = 0
    """games of the range that were left out because they are retracted"""
    events_seq: Count = 0
    """retractions and reanalyses up to this sequence of `EVENTS` are heeded; 0: none"""
    targets_seq: Count = 0
    """the newest targets up to this sequence of `GAMES` are taken; 0: those that the games came with"""


class ShardRetired(Fact, frozen=True, kw_only=True):
    """No window and no training can reach this shard any more: its blob is deleted. The games are there; it can be made again."""

    config: ConfigName
    digest: Sha256
    index: Count
    why: str
    settings_version: Count


class Ranking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` games ended with these participants from best to worst; `ranks` shows ties, such as 1, 2, 2, 4."""

    order: tuple[str, ...]
    ranks: tuple[int, ...]
    count: Annotated[int, Meta(ge=1)]


class GamesRetracted(Fact, frozen=True, kw_only=True):
    """Games of a config that count as if they had never come: in ratings, shards and the windows of trainings from here on.

    They are those from `first_seq` to `last_seq` of `GAMES` that `node` played, in which `model` sat, and that `games` names, each
    as far as it is given. A score is of a whole ticket, so a ticket with one such game is left out of the ratings whole: rather
    lose good results than keep bad ones. `rankings` is what these tickets had brought (`scored_games` games), to be taken back."""

    config: ConfigName
    node: str | None = None
    model: Sha256 | None = None
    games: tuple[str, ...] = ()
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    count: Annotated[int, Meta(ge=1)]
    tickets: tuple[str, ...] = ()
    """evaluation tickets whose scores are taken back"""
    unscored: tuple[str, ...] = ()
    """evaluation tickets whose scores will not count when they come"""
    candidates: tuple[Sha256, ...] = ()
    """networks whose results are among those taken back"""
    rankings: tuple[Ranking, ...] = ()
    scored_games: Count = 0
    why: str


class ModelTainted(Fact, frozen=True, kw_only=True):
    """`model` learned from games that are retracted, itself or (`inherited`) through the weights it began from.

    `retraction` is the position of the retraction, `clean` the nearest network before it that did not."""

    config: ConfigName
    model: Sha256
    generation: Count
    retraction: str
    inherited: bool
    clean: Sha256 | None


class ReanalysisRequested(Fact, frozen=True, kw_only=True):
    """Search the self-play games of `GAMES` from `first_seq` to `last_seq` again with `model`: one ticket."""

    config: ConfigName
    model: Sha256
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    games: Annotated[int, Meta(ge=1)]
    simulations: Annotated[int, Meta(ge=1)]
    seed: Count
    settings_version: Count


class ReanalysisFinished(Fact, frozen=True, kw_only=True):
    """The new targets of one ticket are in `GAMES`, but of `lost` games that could not be searched."""

    config: ConfigName
    ticket: str
    model: Sha256
    first_seq: Annotated[int, Meta(ge=1)]
    last_seq: Annotated[int, Meta(ge=1)]
    games: Count
    lost: Count = 0
    search_seconds: float
    node: str


class HyperparametersAdjusted(Fact, frozen=True, kw_only=True):
    """What trainings of this config do other than the settings say, whole, from the next request on; empty: nothing.

    `values` by the dotted name of the setting, as text like on the command line. A person or the log decides it."""

    config: ConfigName
    values: dict[str, str]
    why: str
    settings_version: Count
    factors: dict[str, float] = {}
    """of `values`, those that no person set: times what the setting says"""


class ShardRecovered(Fact, frozen=True, kw_only=True):
    """The blob of a shard was lost or damaged when a training wanted it, and was made again from the games, byte for byte."""

    config: ConfigName
    digest: Sha256
    index: Count
    reason: str
    node: Token


class TrainingRequested(Fact, frozen=True, kw_only=True):
    """Train `architecture` on `shards`, starting from the weights of `parent` if there is one. A `teacher` is a network whose
    policy and values are mixed into the targets."""

    config: ConfigName
    generation: Annotated[int, Meta(ge=1)]
    architecture: str
    parent: Sha256 | None
    teacher: Sha256 | None = None
    shards: tuple[Sha256, ...]
    samples: Count
    seed: Count
    reason: str
    settings_version: Count
    weights: tuple[float, ...] = ()
    """what the samples of each shard weigh in the loss; empty: all alike"""
    hyperparameters: dict[str, str] = {}
    """settings that are others for this training"""
    intensity: Annotated[float, Meta(gt=0.0)] = 1.0
    """times the epochs of the settings: poor data are learned from less"""


class TrainingStarted(Fact, frozen=True, kw_only=True):
    """A trainer took the ticket; `resumed_step` > 0 if it goes on from a checkpoint."""

    config: ConfigName
    generation: Count
    ticket: str
    node: str
    device: str
    resumed_step: Count


class TrainingCheckpointed(Fact, frozen=True, kw_only=True):
    """A training that takes long is alive: written with a checkpoint, some minutes apart, and kept, for decisions depend on it."""

    config: ConfigName
    generation: Count
    ticket: str
    step: Count
    steps: Count
    loss: float
    node: str


class TrainingProgressed(Fact, frozen=True, kw_only=True):
    """Loss curves while training runs; kept for days only, no decision may depend on it."""

    config: ConfigName
    generation: Count
    ticket: str
    step: Count
    steps: Count
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None
    samples_per_second: float


class TrainingFinished(Fact, frozen=True, kw_only=True):
    """Training ended and `model` is in the object store."""

    config: ConfigName
    generation: Count
    ticket: str
    model: Sha256
    steps: Count
    samples: Count
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None
    train_seconds: float
    node: str


class TrainingFailed(Fact, frozen=True, kw_only=True):
    """Training of this ticket was given up after its last delivery."""

    config: ConfigName
    generation: Count
    ticket: str
    reason: str
    node: str


class ModelRegistered(Fact, frozen=True, kw_only=True):
    """An immutable network exists: what its header says and where it came from."""

    config: ConfigName
    model: Sha256
    generation: Count
    architecture: str
    encoder: str
    parameters: Annotated[int, Meta(ge=1)]
    parents: tuple[Sha256, ...]
    ticket: str


class ModelDerived(Fact, frozen=True, kw_only=True):
    """An immutable network was made from others without training, by `method`; trainings can start from it."""

    config: ConfigName
    model: Sha256
    architecture: str
    encoder: str
    parameters: Annotated[int, Meta(ge=1)]
    parents: tuple[Sha256, ...]
    method: str


class StaleFallbackUsed(Fact, frozen=True, kw_only=True):
    """A worker could not fetch the network `wanted`, and did this ticket with `used`, which had been current before it.

    `age_seconds` is how long ago `used` became current; `tries` and `seconds` what was spent on the wanted one, `reason` why the
    last try failed."""

    config: ConfigName
    ticket: str
    wanted: Sha256
    used: Sha256
    age_seconds: float
    tries: Count
    seconds: float
    reason: str
    node: Token


class EvaluationRequested(Fact, frozen=True, kw_only=True):
    """Play `pairs` seat-balanced starts of `candidate` against `opponent` (each start once a seat rotation).

    `purpose` tells which decision the result serves; `round` counts the requests of one candidate and opponent."""

    config: ConfigName
    generation: Count
    candidate: Seat
    opponent: Seat
    purpose: Purpose
    round: Count
    pairs: Annotated[int, Meta(ge=1)]
    seed: Count
    settings_version: Count


class EvaluationScored(Fact, frozen=True, kw_only=True):
    """Results of one evaluation ticket.

    `starts` is a histogram: (candidate's mean score over all seat rotations of one start in 0..1, number of starts);
    with two seats the scores are 0, 1/4, 1/2, 3/4, 1, the pentanomial of the sequential test."""

    config: ConfigName
    generation: Count
    ticket: str
    candidate: str
    candidate_model: Sha256 | None
    opponent: str
    purpose: Purpose
    round: Count
    games: Count
    wins: float
    starts: tuple[tuple[float, int], ...]
    rankings: tuple[Ranking, ...]
    play_seconds: float
    node: str


class EvaluationFailed(Fact, frozen=True, kw_only=True):
    """An evaluation ticket was given up after its last delivery."""

    config: ConfigName
    generation: Count
    ticket: str
    candidate_model: Sha256 | None
    purpose: Purpose
    reason: str
    node: str


class Rating(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the rating table: Elo with the mean of all at 0, its standard error, games played."""

    participant: str
    elo: float
    se: float
    games: Count


class EloUpdated(Fact, frozen=True, kw_only=True):
    """The rating table of a config after one more evaluation: maximum likelihood over all matches so far."""

    config: ConfigName
    ratings: tuple[Rating, ...]
    games: Count


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sequential test saw when it decided: log-likelihood ratio, its bounds, and the match score."""

    llr: float
    lower: float
    upper: float
    starts: Count
    games: Count
    score: float
    elo: float
    elo_95_half_width: float


class ModelPromoted(Fact, frozen=True, kw_only=True):
    """`model` is the current network of its config from here on; `previous` was."""

    config: ConfigName
    generation: Count
    model: Sha256
    previous: Sha256 | None
    evidence: Evidence | None
    why: str
    settings_version: Count


class PromotionRejected(Fact, frozen=True, kw_only=True):
    """`model` did not become current; `current` stays."""

    config: ConfigName
    generation: Count
    model: Sha256
    current: Sha256 | None
    evidence: Evidence | None
    why: str
    settings_version: Count


class TickRecorded(Fact, frozen=True, kw_only=True):
    """A minute has passed. Decisions that wait for time wait for this: what the log does not tell, no decision knows."""

    minute: Count
    """whole minutes since 1970 (UTC)"""


class LossAnomalyDetected(Fact, frozen=True, kw_only=True):
    """A training ended with, or ran into, a loss far above what this config's trainings led to expect.

    `deviations` tells how far above `expected` in (robust) standard deviations; `severity` follows from it."""

    config: ConfigName
    generation: Count
    ticket: str
    severity: Severity
    loss: float
    expected: float
    deviations: float
    settings_version: Count


class PlateauDetected(Fact, frozen=True, kw_only=True):
    """The loss of this config has not fallen for `trainings` trainings; said again when that makes it more severe."""

    config: ConfigName
    generation: Count
    severity: Severity
    trainings: Annotated[int, Meta(ge=1)]
    best: float
    settings_version: Count


class PlateauCleared(Fact, frozen=True, kw_only=True):
    """The loss fell again, to `best`, after `trainings` trainings in which it did not."""

    config: ConfigName
    generation: Count
    trainings: Annotated[int, Meta(ge=1)]
    best: float
    settings_version: Count


class QualityAssessed(Fact, frozen=True, kw_only=True):
    """How good the newest self-play data of a config are, from `games` games up to the shard `digest`.

    `score` is the weighted mean of `components`, each 0..1; `adjusted` is drawn towards the neutral 0.5 by lack of `confidence`."""

    config: ConfigName
    digest: Sha256
    games: Count
    score: float
    confidence: float
    adjusted: float
    components: dict[str, float]
    settings_version: Count


class QualityDegraded(Fact, frozen=True, kw_only=True):
    """The adjusted quality fell below the bound; holds until `QualityRecovered`."""

    config: ConfigName
    adjusted: float
    weakest: str
    """component with the lowest value"""
    settings_version: Count


class QualityRecovered(Fact, frozen=True, kw_only=True):
    """The adjusted quality is back above the upper bound."""

    config: ConfigName
    adjusted: float
    settings_version: Count


class ExplorationAdjusted(Fact, frozen=True, kw_only=True):
    """Self-play of this config explores `boost` times as long as the settings say, from its next plan on; it was `previous`."""

    config: ConfigName
    boost: float
    previous: float
    reason: Literal["loss anomaly", "plateau", "decay", "regression"]
    settings_version: Count


class VelocityChanged(Fact, frozen=True, kw_only=True):
    """How fast this config grows stronger, in Elo an hour, and how far its current network `model` is above the heuristic.

    `velocity` is None, and the pace unknown, until a second network was promoted."""

    config: ConfigName
    model: Sha256
    velocity: float | None
    pace: Pace | None
    gap_to_heuristic: float
    settings_version: Count


class ProgressStalled(Fact, frozen=True, kw_only=True):
    """The best gap to the heuristic has not grown in `stalled_seconds` of recorded time; holds until `ProgressRecovered`."""

    config: ConfigName
    best_gap: float
    stalled_seconds: float
    settings_version: Count


class ProgressRecovered(Fact, frozen=True, kw_only=True):
    """The best gap to the heuristic has grown again, by `gain`."""

    config: ConfigName
    best_gap: float
    gain: float
    stalled_seconds: float
    settings_version: Count


class RegressionDetected(Fact, frozen=True, kw_only=True):
    """The current network `model` is `elo_drop` weaker than `best`, which was current before; said again when it gets more severe.

    `good` is what a critical one is rolled back to: the newest network before that is not itself a regression."""

    config: ConfigName
    severity: Severity
    model: Sha256
    best: Sha256
    good: Sha256
    elo_drop: float
    error: float
    settings_version: Count


class RegressionCleared(Fact, frozen=True, kw_only=True):
    """The regression of `model` is over: measured again it is not weaker, or another network is current."""

    config: ConfigName
    model: Sha256
    why: str
    settings_version: Count


class ModelRolledBack(Fact, frozen=True, kw_only=True):
    """`model` was current; `current` is again, from here on."""

    config: ConfigName
    model: Sha256
    current: Sha256
    elo_drop: float
    why: str
    settings_version: Count


class CurriculumReweighted(Fact, frozen=True, kw_only=True):
    """Weights of the configs that are switched on, 1 = as usual; not normalised. `config` is where the cause lies, None: all over.

    `amplitude` is how much of its full effect the cause had, 0..1."""

    config: ConfigName | None
    reason: Literal["promotion", "regression", "loss anomaly", "stall", "progress", "quality", "outage"]
    amplitude: float
    weights: dict[str, float]
    settings_version: Count


class AllocationDecided(Fact, frozen=True, kw_only=True):
    """The share of self-play that each config gets, summing to 1, and the `terms` (0..1) that its priority came from."""

    shares: dict[str, float]
    terms: dict[str, dict[str, float]]
    settings_version: Count


class ArchitecturesWeighed(Fact, frozen=True, kw_only=True):
    """Elo that each architecture gained per hour of training in this config, and the share of training it deserves."""

    config: ConfigName
    elo_per_hour: dict[str, float]
    shares: dict[str, float]
    trainings: dict[str, Count]
    settings_version: Count


class TrainingBlocked(Fact, frozen=True, kw_only=True):
    """A training is due but its data are not good enough: the generation plays on, and what is new is looked at again."""

    config: ConfigName
    generation: Count
    reason: Literal["quality", "stale data"]
    detail: str
    settings_version: Count


class TrainingKilled(Fact, frozen=True, kw_only=True):
    """A training gave no sign of life for `silent_seconds` of recorded time; its ticket is void, whoever holds it."""

    config: ConfigName
    generation: Count
    ticket: str
    silent_seconds: float
    settings_version: Count


class EvaluationBackpressureEngaged(Fact, frozen=True, kw_only=True):
    """So many matches wait that training more networks is pointless; holds until `EvaluationBackpressureReleased`."""

    waiting: Count
    settings_version: Count


class EvaluationBackpressureReleased(Fact, frozen=True, kw_only=True):
    """Few enough matches wait again."""

    waiting: Count
    settings_version: Count


class LeaseAcquired(Fact, frozen=True, kw_only=True):
    """`holder` acts for `role`; this fact's sequence is the fencing token of all it writes."""

    role: Token
    holder: str


class ConsumerStarted(Fact, frozen=True, kw_only=True):
    """A consumer process is up on a node."""

    node: Token
    consumer: Token
    instance: str
    version: str


class ConsumerStopped(Fact, frozen=True, kw_only=True):
    """A consumer process drained and left; a killed one leaves no such fact."""

    node: Token
    consumer: Token
    instance: str
    why: str


class AckedLossRepaired(Fact, frozen=True, kw_only=True):
    """The server had acknowledged what it did not have any more after it came back, between two sequences of that time.

    `written` of these events are in the log again, under their ids; `orphaned` are not, because their cause is gone too."""

    node: Token
    consumer: Token
    stream: str
    first_seq: Count
    last_seq: Count
    written: Count
    orphaned: Count


class DeadLettered(Fact, frozen=True, kw_only=True):
    """A message could not be used; its bytes are in `DEAD` under the sequence `dead_seq`.

    `answered`: a ticket whose failure is a fact already, so that the loop goes on without it and only a person tries it again."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    reason: str
    deliveries: Count
    answered: bool = False


class DeadLetterRetryRequested(Fact, frozen=True, kw_only=True):
    """A dead letter is due to be tried again; `attempt` counts from 1."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    attempt: Annotated[int, Meta(ge=1)]


class DeadLetterRetried(Fact, frozen=True, kw_only=True):
    """A dead letter was tried again and still cannot be used."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    reason: str


class DeadLetterResolved(Fact, frozen=True, kw_only=True):
    """A dead letter needs nobody any more; its bytes stay in `DEAD`.

    `decodes`: this build, with its upcasters, reads the event where it lies, and so does every consumer of it that starts;
    `sent-again`: the ticket is on the queue once more; `dropped`: a person decided that it is of no use."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    outcome: Literal["decodes", "sent-again", "dropped"]
    why: str


class DeadLetterEscalated(Fact, frozen=True, kw_only=True):
    """No automatic retry is left or none makes sense: a person has to look (`ringrift dlq show DEAD_SEQ`)."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    attempts: Count
    reason: str


class NodePresenceChanged(Fact, frozen=True, kw_only=True):
    """The warden saw a node's heartbeats begin or end: an observation, from which the other facts of nodes are decided.

    The last heartbeat was `silent_seconds` before this fact. `left`: all its processes said goodbye, so nobody misses them."""

    node: Token
    present: bool
    left: bool
    silent_seconds: float
    processes: Count


class NodeJoined(Fact, frozen=True, kw_only=True):
    """A node is there; `again` after it had been suspected or worse."""

    node: Token
    again: bool


class NodeSuspected(Fact, frozen=True, kw_only=True):
    """No process of the node has been heard for `silent_seconds`."""

    node: Token
    silent_seconds: float


class NodeDegraded(Fact, frozen=True, kw_only=True):
    """A suspected node is still silent."""

    node: Token
    silent_seconds: float


class NodeLost(Fact, frozen=True, kw_only=True):
    """A degraded node is still silent: count on it no longer. Its tickets went elsewhere long ago."""

    node: Token
    silent_seconds: float


WorkKind = Literal["selfplay", "training", "evaluation"]


class NodeRegistered(Fact, frozen=True, kw_only=True):
    """What a node is and may do, from the operator's list of the fleet; a later one of the same node replaces it.

    `speed` is that of self-play against the reference accelerator (RTX 4090 = 1), a first guess until finished work tells.
    A reservation narrows the kinds until a minute (of `TickRecorded`)."""

    node: Token
    provider: Token
    accelerator: str
    vram_gib: float
    cost_per_hour: float
    speed: Annotated[float, Meta(gt=0.0)] = 1.0
    ephemeral: bool = False
    """rented from a market where somebody else may outbid us at any minute"""
    kinds: tuple[WorkKind, ...] = ("training", "evaluation", "selfplay")
    reserved_for: tuple[WorkKind, ...] = ()
    reserved_until_minute: Count = 0


class NodeAssigned(Fact, frozen=True, kw_only=True):
    """A registered node takes tickets of these kinds from here on, none: it stands by and may be given back.

    `ticket_seconds` is how long a ticket on it should take. With `preempts` it hands back at once what is of another kind."""

    node: Token
    kinds: tuple[WorkKind, ...]
    ticket_seconds: float
    why: str
    preempts: bool = False
    settings_version: Count


class WorkAged(Fact, frozen=True, kw_only=True):
    """Tickets of the request at `request` have waited for so long that those left go first from now on."""

    config: ConfigName
    kind: WorkKind
    request: str
    waited_seconds: float
    settings_version: Count


class DeadlockBroken(Fact, frozen=True, kw_only=True):
    """Nothing was asked of any worker for this config, for each part of its loop waited for another, as `cycle` tells.

    Its generation is played on and trained anew."""

    config: ConfigName
    cycle: tuple[str, ...]
    waited_seconds: float
    settings_version: Count


Resource = Literal["ram", "vram", "disk", "files"]
Tier = Literal["normal", "caution", "warning", "critical", "emergency"]


class NodePressureChanged(Fact, frozen=True, kw_only=True):
    """A resource of a node went into another tier; `used` is the share in use, 0..1.

    `consumer` names the process where the resource is its own (`vram`, `files`) and is empty where it is the node's."""

    node: Token
    resource: Resource
    consumer: str
    tier: Tier
    previous: Tier
    used: float


class BreakerOpened(Fact, frozen=True, kw_only=True):
    """So many failures in a row that `target` is left alone until a probe succeeds; `node-<name>` is a quarantined node."""

    target: Token
    failures: Count
    threshold: Count
    why: str


class BreakerReset(Fact, frozen=True, kw_only=True):
    """`target` is used again: a probe succeeded, or a person said so."""

    target: Token
    why: str


class QuorumLevelChanged(Fact, frozen=True, kw_only=True):
    """How many voters can still be lost: two or more HEALTHY, one DEGRADED, none MINIMUM; with LOST nothing can be written, so that
    level is seen on `/status` and in the metrics only. A single server is its own quorum and HEALTHY."""

    level: Literal["HEALTHY", "DEGRADED", "MINIMUM", "LOST"]
    previous: Literal["HEALTHY", "DEGRADED", "MINIMUM", "LOST"]
    voters: Count
    alive: Count
