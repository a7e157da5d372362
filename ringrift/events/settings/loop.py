"""Settings of the loop: self-play, shards, training, evaluation, promotion."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.settings import kinds

Games = Annotated[int, Meta(ge=1, le=100_000)]
Elo = Annotated[float, Meta(ge=-2000.0, le=2000.0)]
Error = Annotated[float, Meta(ge=1e-6, lt=0.5)]
"""probability of a wrong verdict"""
TICKETS_MAX = 1_000
"""of one generation"""
MAX_MOVES_MIN = 50
"""of the smallest boards hardly any game ends earlier"""


class SelfplaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How games for training are played."""

    games: Games = 256
    """games of one generation; on hex8_2p the second network scored 72 % against the first after
    256, 55 % after 192"""
    bootstrap_games: Games = 96
    """games before the first network, searched with the handcrafted heuristic at the leaves; a
    network's own games teach more. On hex8_2p the first network scored 88, 85 and 90 % of 96 games
    against the heuristic after 160, 256 and 512 of them"""
    large_board_share: kinds.Factor = 1.0
    """games of a generation on square19 and hexagonal, as a share of `games` and `bootstrap_games`:
    a game there has up to eight times the samples, and takes far longer"""
    games_per_ticket: kinds.PerTicket = 96
    """games of one ticket, played in lockstep: batches of 64 to 128 leaves keep the cost per
    position low on a CPU"""
    simulations: kinds.Simulations = 32
    """search budget per decision"""
    harness: Literal["usual", "gpu_gumbel", "puct"] = "usual"
    """`usual`: Gumbel search, with a GPU and a network that runs on it in wide lockstep
    (`gpu_gumbel`). `puct` is the search of AlphaZero, with noise, samples and targets of its own,
    as a baseline of experiments; it needs about 600 simulations"""
    budget: Literal["fixed", "tiers"] = "fixed"
    """`tiers` replaces `simulations` by those of `budget_games` and `budget_elo` (requirement
    G14.12); needs accelerators"""
    budget_games: kinds.BudgetSteps = ("100=64", "500=150", "1000=200")
    """games of a config and the simulations below them: throughput, fast iteration, balanced"""
    budget_elo: kinds.BudgetSteps = ("0=200", "100=400", "300=800", "600=1600")
    """after these games, Elo above the heuristic and the simulations from there on: standard,
    quality, ultimate, master; the numbers are ours"""
    considered: Annotated[int, Meta(ge=1, le=1_000)] = 16
    """actions sampled at the root, at most (Gumbel AlphaZero, Danihelka et al. 2022, uses 16); with
    fewer than 64 simulations a quarter of them, at least 2"""
    noise_plies: kinds.Plies = 24
    """plies at the start of a game with full Gumbel noise; afterwards the best action is played"""
    even_openings: kinds.Fraction = 0.0
    """share of a network's games that begin with the most even of several random openings, by its
    own search: where one seat wins nearly all other games, as on hex8_2p, both learn from these
    (`docs/experiments.md`)"""
    opening_plies: kinds.Plies = 0
    """a game begins with 0 to this many random moves, which are not trained on"""
    past_share: kinds.Fraction = 0.0
    """share of a network's games in which an opponent has one seat: one of the newest three earlier
    incumbents, or, once there are three, the heuristic by minimax or max-n. 0: none, until an
    experiment shows a gain"""
    pie: bool = False
    """pie rule, two seats only"""
    max_moves: Annotated[int, Meta(ge=MAX_MOVES_MIN, le=100_000)] = 4000
    """plies after which a game, also one of a match, is stopped as a draw. The rules bound every
    game (section 19); the longest seen has 1,500 plies"""

    def __post_init__(self) -> None:
        kinds.distinct(self, "budget_games", "budget_elo")
        for name in ("bootstrap_games", "games"):
            games, most = getattr(self, name), TICKETS_MAX * self.games_per_ticket
            if games > most:
                reason = f"{{}} must be at most {TICKETS_MAX} times {{}}, {most}; got {games}"
                raise kinds.Unlawful(reason, name, "games_per_ticket")


class ShardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How games become training samples."""

    games: Games = 64
    """games of one shard"""
    people: bool = False
    """whether games of people that are kept from now on are in shards too. Only the decisions of
    networks in them are samples; people play to win or to try something, so their moves are none"""
    tournaments: bool = False
    """whether games of tournaments, gauntlets and other matches that only measure are in shards
    too, from those that are played from now on (requirement G02.18)"""
    windows_kept: kinds.PositiveFloat = 2.0
    """a shard older than this many training windows is retired: its blob is deleted, and rebuilt on
    demand. More than one, so that a window that is enlarged finds its shards"""


class TrainingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When and how a network is trained."""

    architecture: kinds.Architecture = "v2-micro"
    """of new networks; `ringrift model architectures` lists all"""
    architectures: tuple[kinds.Architecture, ...] = ()
    """architectures that compete for the trainings of each config, by Elo gained per hour; empty:
    only `architecture`"""
    min_samples: kinds.Positive = 5000
    """new samples before the next training (requirement G08.02)"""
    window_samples: kinds.Positive = 90_000
    """newest samples that a training uses; older play is weaker play"""
    epochs: Annotated[float, Meta(ge=0.01, le=1_000.0)] = 2.0
    """passes over the window: steps = epochs * window / batch"""
    batch: Annotated[int, Meta(ge=1, le=65_536)] = 256
    """samples of one step"""
    learning_rate: kinds.PositiveFloat = 2e-3
    """at its highest, after the first steps"""
    weight_decay: kinds.NonNegativeFloat = 1e-4
    """how strongly weights are pulled to 0 (AdamW, Loshchilov and Hutter 2019)"""
    value_weight: kinds.PositiveFloat = 1.0
    """weight of the value loss relative to the policy loss"""
    rank_weight: kinds.NonNegativeFloat = 0.0
    """weight of the auxiliary loss of the final rank of every seat; auxiliary losses shape the
    trunk, and are off until an experiment shows a gain"""
    territory_weight: kinds.NonNegativeFloat = 0.0
    """weight of the auxiliary loss of the final owner of every cell"""
    moves_left_weight: kinds.NonNegativeFloat = 0.0
    """weight of the auxiliary loss of the number of moves left"""
    init: tuple[kinds.ModelOfConfig, ...] = ()
    """networks, of any config, that the first training of a config starts from, such as
    `square8_4p=<digest>`"""
    adoption: bool = True
    """whether a config begins with the network of the other board of its kind, such as
    hexagonal_2p with that of hex8_2p, if that wins more than its fair share against the heuristic.
    A config on a large board waits for that network: its games take ten times as long. An NNUE of
    512 games of hex8_2p won 84 % of hexagonal_2p as it was, one of 48 games of its own 25 %"""
    together: tuple[kinds.ConfigGroup, ...] = ()
    """groups of configs that have one line of networks, such as `hex8_2p+square8_2p`: one training
    learns from the games of all, and each config promotes its networks by itself. Empty until an
    experiment shows a gain in the loop"""
    together_seconds: kinds.NonNegativeFloat = 120.0
    """how long a due training waits at most for the other configs of its group, if their games will
    be played by then"""
    distill_from: tuple[kinds.ModelOfConfig, ...] = ()
    """networks, of any architecture, that teach the trainings of a config; `distill_weight` of the
    targets is theirs"""
    distill_weight: kinds.Fraction = 0.5
    """share of the targets that is of the networks in `distill_from`; the rest is of the games"""
    validation_fraction: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.05
    """share of the games kept out of the gradient, for the validation loss"""
    checkpoint_steps: kinds.Positive = 100
    """steps between checkpoints, the most that a killed trainer repeats"""
    early_samples: kinds.Positive = 1000
    """new samples that suffice if the strongest seat's share of wins is known well (requirement
    G08.03)"""
    early_half_width: kinds.Fraction = 0.025
    """largest half of the 95 % interval of the share of wins at which `early_samples` suffice
    (requirement G08.03)"""
    passes_max: kinds.PositiveFloat = 20.0
    """samples that a training passes over, at most, for each one that is new since the training
    before: more would not be repaid. KataGo's train bucket holds 4 to 8; two epochs of 90,000
    samples are 9 to 18 on hex8_2p"""
    first_samples: kinds.Positive = 10_000
    """samples that the first training of a config passes over at most: as many as two epochs of the
    64 games that it has seen have on hex8. On hexagonal they have 44,000, which are as alike, and
    two cores pass over 115 a second"""
    first_intensity: kinds.PositiveFloat = 1.0
    """factor on the epochs of the first training of a config, which starts from random weights"""
    ahead_samples: kinds.NonNegativeFloat = 0.25
    """new samples, relative to those that the newest training passed over, up to which a config
    plays ahead while it is trained and measured; the inverse of the 4 of KataGo's train bucket"""
    cooldown_seconds: kinds.NonNegativeFloat = 300.0
    """time after a training in which other configs are trained first; a free trainer does not wait
    for it"""
    cooldown_by_pace: kinds.ByPace = kinds.ByPace(regressing=2.0, stalled=1.5, steady=1.0, fast=0.5)
    """factors on `cooldown_seconds`: a training gains most where strength grows fast (requirement
    G08.04)"""
    stale_after_seconds: kinds.PositiveFloat = 86_400.0
    """data whose newest shard is older are not trained on until more games were played (requirement
    G06.36)"""
    quality_min: kinds.Fraction = 0.4
    """quality, faded by age, below which a training waits; neutral is 0.5, so an old assessment
    never blocks (requirement G07.06)"""
    degraded_samples: kinds.Factor = 0.8
    """share of `min_samples` that suffices while the quality of a config is degraded: a newer
    network plays better data (requirement G07.05). Not less, because the data are poor"""
    intensity_poor: kinds.Factor = 0.5
    """factor on the epochs at a quality of 0, rising linearly to 1 at the neutral 0.5 (requirement
    G08.05)"""
    intensity_good: kinds.PositiveFloat = 1.0
    """factor on the epochs at a quality of 1; 1 until an experiment shows a gain"""
    assessment_seconds_max: kinds.PositiveFloat = 60.0
    """how long a training waits for the assessment of the newest shard; it takes a moment unless no
    process assesses"""
    quality_blocks_max: kinds.NonNegative = 3
    """times that poor quality may extend one generation: a training on poor data is better than
    none"""
    shard_quality_power: kinds.NonNegativeFloat = 0.0
    """samples of a shard are weighted by (quality / neutral) to this power (requirement G06.05). 0:
    equally, until an experiment shows a gain"""
    cascade: tuple[kinds.Cascade, ...] = ()
    """`a>b`: when a network of architecture a is promoted, the next training of its config is of
    architecture b, taught by that network"""
    silent_seconds_max: kinds.PositiveFloat = 7200.0
    """a training without a sign of life for this long is requested again (requirement G08.13)"""

    def __post_init__(self) -> None:
        kinds.distinct(self, "architectures", "init", "distill_from", "cascade")
        named = [config for group in self.together for config in group.split("+")]
        twice = next((config for config in named if named.count(config) > 1), None)
        if twice is not None:
            raise kinds.Unlawful(f"{{}} names {twice} twice; name it once", "together")


class EvaluationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a candidate is measured."""

    simulations: kinds.Simulations = 32
    """search budget per decision, of both players"""
    evaluators: Annotated[int, Meta(ge=1, le=13)] = 4
    """evaluators among which a trial is split, if so many are present, rounded down to 3f + 1: no f
    of them can decide it. A round then has a ticket for each of them; of fewer than 4 one decides,
    and promotions are unattested"""
    starts_per_ticket: kinds.PerTicket = 32
    """starts of one ticket for promotion; the sequential test checks after each ticket"""
    baseline_starts: kinds.PerTicket = 48
    """starts of each new network against random and against the heuristic, at most"""
    baseline_seconds: kinds.PositiveFloat = 60.0
    """seconds of a worker for which the first network of a config plays each baseline, the second
    one for twice as long, and so on. On a small board 48 starts take less; on a large one they took
    as long as all games that the network had learned from"""
    waiting_max: kinds.Positive = 70
    """pending evaluations at which training pauses (requirement G09.02)"""
    waiting_resume: kinds.NonNegative = 35
    """pending evaluations at which training resumes"""
    tournament_share: kinds.Fraction = 0.02
    """seconds of tournament matches, relative to those of all other work of a config: its current
    network and the two before it meet under every harness that suits them, on idle evaluators
    (requirement G09.10). 0: none are scheduled"""
    stale_days: Annotated[float, Meta(ge=0.001, le=36_500.0)] = 30.0
    """an incumbent whose newest evaluation against a baseline is older repeats them (requirement
    G09.08)"""
    anchor: Literal["heuristic", "random"] = "heuristic"
    """the baseline whose Elo is 0, from the next rating table on; a table in which it has not
    played yet is relative to the other one (requirement G10.07)"""
    opening_plies: kinds.Plies = 4
    """random plies at the beginning of each start, so that starts differ. After 8 on hex8_2p, a
    quarter of the starts against the heuristic were decided before the first searched move"""
    recount: bool = False
    """whether scores count only once a coordinator has found their games, played them again and
    counted the same, which reads the games of the config since the request. On in the first
    settings of a log; not by default, because older logs were decided without. `trust.required`
    implies it"""
    even_openings: bool = True
    """between two networks, each start is the one of several random openings of 2 to 16 plies that
    the opponent's search finds most even"""

    def __post_init__(self) -> None:
        kinds.rising(self, "waiting_resume", "waiting_max", strictly=True)


class PromotionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sequential test that promotes (Wald 1945): `elo0` is not worth a promotion, `elo1` is;
    thresholds log(beta / (1 - alpha)) and log((1 - beta) / alpha)."""

    elo0: Elo = 0.0
    """gain in Elo that is not worth a promotion: a candidate with this strength is promoted with
    probability `alpha`"""
    elo1: Elo = 40.0
    """gain in Elo that is worth a promotion: a candidate with this strength is rejected with
    probability `beta`"""
    alpha: Error = 0.05
    """probability of promoting a candidate that is not better"""
    beta: Error = 0.05
    """probability of rejecting a candidate that is better by `elo1`"""
    starts_max: kinds.Positive = 64
    """starts after which an undecided test is decided by `score_at_cap`"""
    score_at_cap: kinds.Fraction = 0.52
    """score that promotes after `starts_max` starts"""
    cooldown_seconds: kinds.NonNegativeFloat = 600.0
    """after a rollback nothing is promoted for this long: candidates descend from the weights that
    were rolled back"""

    def __post_init__(self) -> None:
        kinds.rising(self, "elo0", "elo1", strictly=True)
