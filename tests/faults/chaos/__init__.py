"""A cluster of real servers on this machine, what can be done to it, and who writes and watches
meanwhile.

Used by the tests beside it; `simulator.checker` reads the history afterwards. Loss of power, slow
and full disks take a file system of their own for each server (`disks`); where this machine does
not give one, the tests that need it are skipped and say why."""
