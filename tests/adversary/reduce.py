"""Findings reduced to the facts they need."""

from __future__ import annotations

from collections.abc import Sequence

from ringrift.events import Recorded

from .trial import Finding, Trial, limited

TRIES_MAX = 400


def repeats(finding: Finding, items: Sequence[Recorded]) -> bool:
    """Whether one decider alone, on these events, leads to the same finding."""
    trial = Trial(0, [finding.decider])
    with limited():
        trial.replay(items)
    return finding in trial.findings


def reduced(finding: Finding, items: Sequence[Recorded]) -> list[Recorded]:
    """The events that a finding needs: none of them can be left out, as far as it was tried.

    Events are left out in runs of half the events, of a quarter, and so on (delta debugging,
    Zeller 1999). Empty if the finding does not repeat."""
    kept = list(items)
    if finding.error == "Stuck":
        return kept[-1:] if repeats(finding, kept[-1:]) else []
    if not repeats(finding, kept):
        return []
    size, tries = max(len(kept) // 2, 1), 0
    while tries < TRIES_MAX:
        before = len(kept)
        start = 0
        while start < len(kept) and tries < TRIES_MAX:
            fewer = kept[:start] + kept[start + size :]
            tries += 1
            if fewer and repeats(finding, fewer):
                kept = fewer
            else:
                start += size
        if size == 1 and len(kept) == before:
            break
        size = max(size // 2, 1)
    return kept
