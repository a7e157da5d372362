"""Settings of renting: what can be rented, for how much, and when it is returned."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Struct

from ringrift.events.patterns import matching
from ringrift.events.settings import kinds

_NUMBER = r"[0-9]{1,6}(?:[.][0-9]{1,6})?"
Offer = Annotated[
    str,
    matching(
        "[a-z0-9_-]{1,32}:price=" + _NUMBER + ":speed=" + _NUMBER + ":vram=" + _NUMBER + ":max="
        "[0-9]{1,3}",
        "an offer such as vast-4090:price=0.35:speed=1:vram=24:max=8",
    ),
]
Moment = Annotated[
    str,
    matching(
        "(?:|20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})",
        "a time in UTC such as 2026-12-24T18:00, or nothing",
    ),
]


class RentingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which nodes are rented and when they are returned; the hook of the role renter talks to the
    provider (`RINGRIFT_RENT_HOOK`)."""

    offers: tuple[Offer, ...] = ()
    """what can be rented: a name that the hook knows, the largest price per hour, the speed of
    self-play (RTX 4090 = 1; measured once it played), GiB of memory of a GPU, and the largest
    number of such nodes"""
    budget_per_hour: kinds.NonNegativeFloat = 0.0
    """largest cost per hour of what is rented; 0: nothing is rented, and what is rented is
    returned"""
    budget: kinds.NonNegativeFloat = 0.0
    """largest cost of all that is ever rented; 0: no limit. Raise it to go on"""
    deadline: Moment = ""
    """time by which the wanted `generations` should be judged: no more is rented than that takes,
    and everything is returned then; empty: as much as the budget allows"""
    deadline_sigmas: kinds.NonNegativeFloat = 1.0
    """standard deviations that are added to the mean of the work that is left: with 1 the deadline
    is kept five times in six, if verdicts differ as those before"""
    elo_per_cost_min: kinds.NonNegativeFloat = 0.0
    """Elo per currency unit that the best config must gain by its last measurement
    (`EfficiencyMeasured`); less, and what is rented is returned; 0: no limit"""
    vram_min: kinds.NonNegativeFloat = 0.0
    """offers with less memory of a GPU, in GiB, are not rented"""
    used_min: kinds.Fraction = 0.8
    """share of all cores that must not wait for a ticket for more to be rented (requirement
    G14.21)"""
    idle_minutes: kinds.Positive = 10
    """minutes without any work after which a rented node is returned: providers bill by the minute
    or second"""
    calm_minutes: kinds.NonNegative = 60
    """minutes after such a return in which nothing is rented, so that nodes do not come and go"""
    boot_minutes: kinds.Positive = 20
    """minutes in which a rented node must send its first heartbeat; else it is returned. An image
    with torch takes a few minutes to load"""
    drain_seconds: kinds.PositiveFloat = 120.0
    """time in which a node finishes its tickets before it is returned"""
    rents_per_hour: kinds.Positive = 20
    """requests to rent in any hour: what fails at once must not ask without end"""
    failures_max: kinds.Positive = 3
    """failures in a row after which an offer is not asked for a while"""
    pause_minutes: kinds.Positive = 10
    """length of that pause; it doubles with each further failure, up to 6 h"""
    returns_orphans: bool = False
    """return what the provider runs and no rent explains. It is an alert in any case: another
    cluster may have rented it"""
    hook_seconds: kinds.PositiveFloat = 120.0
    """time in which the hook must answer; then it is killed and asked again"""
    reconcile_seconds: kinds.PositiveFloat = 300.0
    """time between two looks at what the provider runs"""
    restarts_max: kinds.NonNegative = 0
    """restarts that the hook is asked for when a node is lost, before a rented one is replaced, or
    one of the operator's own is left to a person; 0: the hook has no restart"""
    restart_minutes: kinds.Positive = 15
    """minutes after a restart in which the node must return"""
    replacements_max: kinds.NonNegative = 3
    """nodes of one offer that are replaced in a day; the next one that is lost is left to a
    person"""

    def __post_init__(self) -> None:
        kinds.distinct(self, "offers")
        try:
            self.ends()
        except ValueError as error:
            raise kinds.Unlawful("{} is no date: " + str(error), "deadline") from error

    def ends(self) -> datetime | None:
        """The deadline, if there is one."""
        return datetime.fromisoformat(self.deadline).replace(tzinfo=UTC) if self.deadline else None
