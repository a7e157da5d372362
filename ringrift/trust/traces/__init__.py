"""Traces of games (format `ringrift-parity-trace/1`), by which implementations of the rules are
compared."""
