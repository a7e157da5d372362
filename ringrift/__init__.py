"""RingRift: self-play learning for two to four players on a durable event log."""

import os

__version__ = "0.1.0"

# Threads of torch that wait for each other must sleep, not spin: beside other processes on the same
# cores, spinning made networks up to ten times slower (load 7 on two cores). OpenMP reads this when
# it loads, so it stands before any import of torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
