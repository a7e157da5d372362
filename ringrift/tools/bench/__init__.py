"""Benchmarks of `ringrift bench`: one harness, one subject a file."""
