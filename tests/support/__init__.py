"""Helpers that several test files share: `from support.positions import ...`."""
