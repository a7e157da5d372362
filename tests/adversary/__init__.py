"""An adversary of the deciders and of the commands that read the log: facts that decode but that no
correct program writes, in any order, mixed with a loop that runs as it should.

    python -m tests.adversary --seed 1 --facts 20000

The facts are invented from the types in the registry, so new facts and deciders are tried without
further work. An episode is one log, by one seed; what raises is reduced to the facts it needs.
"""
