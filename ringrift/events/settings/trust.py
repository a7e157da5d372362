"""Settings of trust: how many games are audited."""

from msgspec import Struct

from ringrift.events.settings import kinds


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many games the auditors play and search again, where they run."""

    decisions: kinds.Fraction = 0.01
    """share of the searched decisions of games that are searched again, and of the games at least
    one decision of each; with 1 %, a node that forges a twentieth of its games was found in
    simulations after 300 to 1,100 of them"""
    new_games: kinds.NonNegative = 200
    """audited games of a node until which it is new"""
    new_factor: kinds.PositiveFloat = 4.0
    """factor on `decisions` while a node is new: nothing is known of it yet"""
    compute_share: kinds.Fraction = 0.01
    """of the time that the games took, which audits may use at most"""
