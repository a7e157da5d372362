"""Every decider there is: each module of `ringrift.deciders` that has a `DECIDER`, in the order of
their names."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from ringrift import deciders as rooms
from ringrift.deciders.kit import Decider


def deciders() -> dict[str, Decider[Any]]:
    """By name. Found rather than listed, so that none is forgotten when history is verified."""
    modules = (
        importlib.import_module(item.name)
        for item in pkgutil.walk_packages(rooms.__path__, f"{rooms.__name__}.")
    )
    found = [
        module.DECIDER
        for module in modules
        if isinstance(getattr(module, "DECIDER", None), Decider)
    ]
    return {decider.name: decider for decider in found}
