"""Settings of trust: how many games are audited, and which are checked by another program, and
whether networks need a certificate."""

from typing import Annotated

from msgspec import Struct

from ringrift.events.patterns import matching
from ringrift.events.settings import kinds

ParityCommand = Annotated[
    str,
    matching(
        "(?:|ringrift-parity-[a-z0-9-]{1,40})",
        "the name of a program, such as ringrift-parity-reference, or nothing",
    ),
]


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


class TrustSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network must show before it is used."""

    required: bool = False
    """whether self-play and training refuse networks whose promotion or rollback was not attested
    by 2f + 1 of 3f + 1 coordinators, and what fewer than four evaluators measured is not promoted;
    off, because it takes four admitted coordinators and four evaluators"""


class ParitySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The second implementation of the rules, and what its silence means."""

    command: ParityCommand = ""
    """program that judges traces of games where auditors find it in their `PATH`; its name has a
    fixed beginning so that a setting can never start a program that was not installed for this"""
    share: kinds.Fraction = 0.01
    """of the games that it judges while pending ones may be trained on: a rule that differs shows
    in many games, so few suffice"""
    pending: bool = True
    """whether games that it has not judged may be trained on; if not, it judges all of them and
    the exporter waits for it, so training stops where it runs nowhere"""

    def __post_init__(self) -> None:
        if not (self.pending or self.command):
            raise kinds.Unlawful(
                "without {} no game is judged, so {} must be on", "command", "pending"
            )
