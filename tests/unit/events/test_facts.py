"""The package of facts: each fact in one module, all of them to be had from the package and none
without a registry row."""

from __future__ import annotations

import importlib
import pkgutil

from ringrift.events import REGISTRY, facts

MODULES = [
    importlib.import_module(f"{facts.__name__}.{item.name}")
    for item in pkgutil.iter_modules(facts.__path__)
]


def test_every_fact_is_offered_by_the_package_and_registered() -> None:
    defined = [
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, facts.Fact)
        and kind.__module__ == module.__name__
    ]
    assert all(getattr(facts, kind.__name__) is kind for kind in defined)
    assert {kind.__name__ for kind in defined} - {"Fact"} == REGISTRY.keys()
    assert len(defined) == len(REGISTRY) + 1, "a name stands for one fact"
