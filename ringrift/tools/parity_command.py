"""`ringrift parity check`: the rules against recorded games of the reference engine."""

from __future__ import annotations

import argparse

from ringrift.tools.parity import parity_main


def check(options: argparse.Namespace) -> int:
    """Check the traces; 0 only if there were games and nothing differs."""
    return parity_main(options.files)
