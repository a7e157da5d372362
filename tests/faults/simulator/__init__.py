"""The simulator of faults: the processes of RingRift on the in-memory log, under a virtual clock,
with faults by a plan that follows from a seed.

    python -m tests.faults.simulator --seeds 1000

The real runner runs: `decide.act`, `work.work`, the dispatcher, the leases. Only the log, the time
and the work on a ticket are modelled. A failing seed is reduced to the faults it needs, and the
command that repeats it is printed.
"""
