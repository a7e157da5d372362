"""A cluster of real servers on this machine, faults of its servers, disks, processes and messages,
and clients that write and watch meanwhile.

`simulator.checker` reads the history afterwards. Loss of power, slow and full disks need a file
system of its own for each server (`disks`); where this machine does not provide one, the tests that
need it are skipped with the reason.
"""
