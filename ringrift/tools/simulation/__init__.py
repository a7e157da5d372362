"""A cluster in a box: the real deciders over a log in memory, with a virtual clock and modelled
workers.

    fleet_file    the nodes, from a TOML file fault_plan    what goes wrong and when, from a TOML
    file workload      how long work takes on a node, how strong networks become, what shards and
    matches look like coordinator         the deciders as the runner runs them: fold, decide,
    append, adopt; a restart rebuilds from the log work_queue    `WORK`: priorities, a cap,
    redelivery nodes         nodes that take tickets, vanish, fail and come back world         the
    virtual clock that drives them all findings      what came of it, and which of the promised
    properties hold plots         the same as pictures

Everything follows from the fleet, the settings, the faults and one seed.
"""
