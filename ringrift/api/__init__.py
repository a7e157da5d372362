"""The Python API, and the game as an environment of other libraries."""
