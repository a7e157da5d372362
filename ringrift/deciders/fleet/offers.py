"""What can be rented, and which offers give most self-play for a budget.

An offer is worth its speed divided by its price: everything that a node does takes less time on a
faster one. Speeds are measured once a node of the offer has played
(`ringrift.deciders.fleet.durations`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from ringrift.deciders.fleet.durations import Durations
from ringrift.events.settings import RentingSettings

SPEED_MIN, PRICE_MIN = 1e-3, 1e-6
"""less cannot be a divisor"""
OTHER = "other"
"""accelerator of nodes that are not rented, among measured durations"""


class Offer(Struct, frozen=True, kw_only=True):
    """One offer; `speed` as measured, or else as declared."""

    name: str
    price: float
    speed: float
    vram: float
    most: int

    @property
    def value(self) -> float:
        """Speed for its price."""
        return self.speed / max(self.price, PRICE_MIN)


def offers_of(settings: RentingSettings, measured: Durations = Durations()) -> dict[str, Offer]:  # noqa: B008
    """The offers by name that have enough memory, those worth most first."""
    found = (offer for text in settings.offers if (offer := _read(text, measured)))
    fit = [offer for offer in found if offer.vram >= settings.vram_min]
    return {one.name: one for one in sorted(fit, key=lambda one: (-one.value, one.name))}


def _read(text: str, measured: Durations) -> Offer:
    name, *fields = text.split(":")
    values = {key: float(value) for key, _, value in (field.partition("=") for field in fields)}
    speed = max(values["speed"], SPEED_MIN)
    return Offer(
        name=name,
        price=values["price"],
        speed=1.0 / measured.slowness(name, min(speed, 1.0 / SPEED_MIN)),
        vram=values["vram"],
        most=int(values["max"]),
    )


def chosen(
    offers: Iterable[Offer], *, money: float, speed: float, count: int, free: Callable[[Offer], int]
) -> Iterator[Offer]:
    """Yield `count` offers at most to rent, the best first: for `money` per hour at most, until
    their speeds sum up to `speed`. `free` says how many of an offer may still be rented."""
    for offer in offers:
        for _ in range(free(offer)):
            if count <= 0 or speed <= 0.0 or offer.price > money:
                break
            yield offer
            money, speed, count = money - offer.price, speed - offer.speed, count - 1
