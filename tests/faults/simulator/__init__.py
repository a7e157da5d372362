"""The processes of RingRift on the in-memory log, under a clock that jumps, with faults by a plan
that follows from a seed.

    cd tests/faults && python -m simulator --seeds 1000

What runs is the real runner: `deciding.act`, `working.work`, the dispatcher, the leases. Only the
log, the time and what a ticket costs are made up. A failing seed is shrunk to the faults it needs,
and the command that repeats it is printed."""
