"""The error of the simulator: SimulationError, a file that says something the simulator cannot
do."""


class SimulationError(Exception):
    """The text names the file, what is wrong in it and what it should be."""
