"""The fleet simulator: real deciders over a log in memory, a virtual clock and modelled workers.

- `clock`, `world`: virtual time and randomness, shared with the simulator of faults in the tests
- `fault_plan`: what goes wrong and when, from a TOML file
- `workload`: how long work takes, how strong networks become, what shards and matches look like
- `coordinator`: the deciders as the runner runs them, and the log
- `work_queue`, `nodes`: the queue `WORK`, and nodes that take tickets from it
- `fleet`: the state of all of these
- `work`, `outages`: what happens to tickets and to nodes
- `rentals`: a provider from which the fleet rents
- `run`: the course of a simulation
- `findings`, `plots`: the results, and which promises hold

Everything follows from the fleet, the settings, the faults and one seed.
"""
