"""Every fact is exported by the package, registered, and named like its subject."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

from ringrift.events import REGISTRY, EventType, facts

MODULES = [
    importlib.import_module(f"{facts.__name__}.{item.name}")
    for item in pkgutil.iter_modules(facts.__path__)
]


def test_every_fact_is_exported_and_registered() -> None:
    defined = [
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, facts.Fact)
        and kind.__module__ == module.__name__
        and hasattr(kind, "event_type")
    ]
    assert all(getattr(facts, kind.__name__) is kind for kind in defined)
    assert sorted(kind.__name__ for kind in defined) == sorted(REGISTRY)


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.name)
def test_event_and_subject_use_the_same_word(kind: EventType) -> None:
    """The last token is the name in lower case, without the context if the name begins with it."""
    name = re.sub("(?<!^)(?=[A-Z])", "-", kind.name).lower()
    assert kind.word == name.removeprefix(f"{kind.context}-")
    assert kind.scope == "all" or kind.scope in kind.fact_type.__struct_fields__
    assert kind.subject_filter == f"ringrift.{kind.context}.*.{kind.word}"


def test_a_fact_is_frozen_and_refuses_unknown_fields() -> None:
    for kind in REGISTRY.values():
        config = kind.fact_type.__struct_config__
        assert (config.frozen, config.forbid_unknown_fields, config.gc) == (True, True, False)
