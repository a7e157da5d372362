"""Audits of games: which are chosen, and what is wrong with one that its node may have forged.

A game must replay by the rules, be the one that its request asks for, down to its seed, and have a
search target at every decision that was not forced. What the searches gave is compared by
`ringrift.trust.replay`."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from ringrift.events import Settings, facts as f
from ringrift.events.participants import network_seat
from ringrift.events.tickets import EvaluationTicket, ReanalysisTicket, SelfplayTicket, Ticket
from ringrift.learning.ends import LIMIT
from ringrift.learning.openings import PLIES
from ringrift.learning.play import GAME_STREAM, RIVAL, opponent_of, players_of, usual_seat
from ringrift.learning.shards import GameRejected, check_game, play_checked
from ringrift.learning.targets import TargetsError, decode
from ringrift.rules import Config, Position, layout as la
from ringrift.rules.version import RULES_VERSION
from ringrift.search.harness import Model
from ringrift.search.splitmix import seed_of
from ringrift.trust.replay import sampled

AGAIN = 24
"""decisions of a game that are searched again once one differs"""
INDEX_DIGITS_MAX = 9
POLICY_HARNESSES = ("gumbel", "gpu_gumbel", "puct")
"""whose decisions are always recorded"""
ANY = "0" * 64
"""stands for any network: how one plays follows from its kind"""
DECISIONS_MIN = 20
"""as many a game counts for at least, so that one without targets does not escape"""


class Request(NamedTuple):
    """What a game was asked for by: its ticket, the settings of that, and the older networks that
    were recorded to be used in place of the ticket's."""

    ticket: Ticket
    settings: Settings
    fallbacks: frozenset[str]


def chosen(game: f.GameCompleted, share: float, seed: str) -> list[int] | None:
    """The plies of the decisions that a seed chooses for a first look, on average `share` of all;
    None if the game is not audited at all."""
    try:
        decisions = len(decode(game.targets, game.plies)[1])
    except TargetsError:
        return []
    draw = random.Random(f"{seed} {game.game} {game.node}").random()
    count = int(draw + share * max(decisions, DECISIONS_MIN))
    return sampled(game, count, seed) if count else None


def auditor_of(game: f.GameCompleted, auditors: Sequence[str], seed: str) -> str | None:
    """Which of these nodes audits a game: any but its author, by the seed."""
    others = sorted({*auditors} - {game.node})
    return random.Random(f"{seed} {game.game} auditor").choice(others) if others else None


def contradiction(game: f.GameCompleted, request: Request | None) -> str:
    """What is wrong with a game, on any machine; empty if nothing is."""
    if request is None:
        return f"no request asks for ticket {game.ticket}"
    try:
        check_game(game)
    except GameRejected as error:
        return str(error)
    if isinstance(request.ticket, ReanalysisTicket):
        return _against_reanalysis(game, request.ticket.request)
    number = game.game.removeprefix(f"{game.ticket}-")
    if not (number.isascii() and number.isdecimal() and len(number) <= INDEX_DIGITS_MAX):
        return f"no game of ticket {game.ticket}"
    longest = request.settings.selfplay.max_moves
    if game.reason == LIMIT and game.plies != longest:
        return f"it was stopped after {game.plies} plies, not {longest}"
    return _against(game, int(number), request) or _unsearched(game, request)


def is_known(game: f.GameCompleted) -> bool:
    """Whether this program can judge the game: it was played here, by the same rules."""
    return game.origin not in ("human", "import") and game.rules_version == RULES_VERSION


def searched_again(
    old: f.GameCompleted, fact: f.GameReanalysed, seed: int, model: Model | None
) -> f.GameCompleted:
    """A game with its new targets, as a game of the node that searched it with the seed of its
    request: audited alike, but for the moves, which those searches did not choose."""
    player = usual_seat(Config.parse(fact.config), fact, model)
    return replace(
        old,
        origin="reanalysis",
        seats=(player,) * len(old.seats),
        seed=seed_of(seed, old.seed),
        node=fact.node,
        ticket=fact.ticket,
        targets=fact.targets,
        play_seconds=fact.search_seconds,
    )


def _against_reanalysis(game: f.GameCompleted, request: f.ReanalysisRequested) -> str:
    player = game.seats[0]
    same = player.model == request.model and player.simulations == request.simulations
    return "" if same else f"{player.participant} is not the player of its reanalysis"


def _against(game: f.GameCompleted, number: int, request: Request) -> str:
    ticket, settings = request.ticket, request.settings.selfplay
    if isinstance(ticket, EvaluationTicket):
        match = ticket.request
        start, rotation = divmod(number, len(game.seats))
        seed = seed_of(match.seed, GAME_STREAM, start, rotation)
        seats = [match.opponent] * len(game.seats)
        seats[rotation] = match.candidate
        if start >= match.starts or list(game.seats) != seats or game.pie:
            return "its players are not those of its match"
    elif isinstance(ticket, SelfplayTicket):
        plan = ticket.plan
        seed = seed_of(plan.seed, plan.generation, ticket.first_game + number)
        noise = settings.noise_plies if plan.noise_plies is None else plan.noise_plies
        options = {"considered": settings.considered, "noise_plies": noise}
        players = {
            _search(
                network_seat(ANY, plan.simulations, kind=kind, seats=len(game.seats), **options)
            )
            for kind in ("network", "nnue")  # with a policy, and without
        }
        rival, allowed = opponent_of(ticket), players_of(plan, seed)
        for seat, index in zip(game.seats, allowed, strict=True):
            if index == RIVAL and seat == rival:
                continue  # else the network of the plan has its seat too: the rival was not there
            if _search(seat) not in players:
                return f"{seat.participant} does not search as its plan asks"
            if seat.model != plan.model and seat.model not in request.fallbacks:
                return f"{seat.participant} is not the network of its plan"
        if number >= ticket.games or game.pie != (settings.pie and len(game.seats) == 2):
            return "it is not a game of its plan"
    else:
        return f"ticket {game.ticket} asks for no games"
    return "" if game.seed == seed else f"its seed is {game.seed}, its request gives {seed}"


def _search(seat: f.Seat) -> tuple[int, int, int]:
    return seat.simulations, seat.considered, seat.noise_plies


def _unsearched(game: f.GameCompleted, request: Request) -> str:
    """The first decision without a target, after the longest opening, of a player whose search
    makes targets: those of a plan's own player are recorded, and all of Gumbel search."""
    ticket, settings = request.ticket, request.settings
    plan = ticket if isinstance(ticket, SelfplayTicket) else None
    rival = opponent_of(plan) if plan else None
    longest = max(PLIES[1], settings.selfplay.opening_plies, settings.evaluation.opening_plies)
    position = Position.start(Config.parse(game.config), pie=game.pie)
    codes, geo = check_game(game).codes, position.geometry
    legal, seats = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.int64)
    play_checked(geo, position.state, codes, np.empty(geo.moves_max, np.int64), legal, seats)
    searched = {decision.ply for decision in decode(game.targets, game.plies)[1]}
    swapped = position.state[la.SWAPPED]
    for ply in range(longest, len(codes)):
        if legal[ply] > 1 and ply not in searched:
            seat = int(seats[ply])
            player = game.seats[2 - seat if swapped else seat - 1]
            own = plan is not None and player != rival
            if player.simulations and (own or player.harness in POLICY_HARNESSES):
                return f"ply {ply} was not searched"
    return ""
