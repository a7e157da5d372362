"""The facts: every event type of the system, a module for each part of it. Whoever reads or writes
facts imports them from here.

A fact is frozen, keyword-only and versioned. Fields are never renamed or given another meaning: a
change is a new version and an upcaster (`ringrift.events.registry`). Shared vocabulary of the
fields:

- `config`: key of a board and seat count, such as `hex8_2p`; it is also the scope token of the
  subject.
- `model`: SHA-256 of a network's blob, 64 hex digits, or None where no network took part.
- `participant`: `<first 12 digits of model, or "baseline">:<harness>:<config of the search>`, the
  unit that has a rating; made
  by `ringrift.events.participants`.
- `settings_version`: version of the `SettingsChanged` in force when the decision was taken.
- times are in the envelope, durations are in seconds and end in `_seconds`.
"""

from ringrift.events.facts.evaluation import *
from ringrift.events.facts.nodes import *
from ringrift.events.facts.play import *
from ringrift.events.facts.processes import *
from ringrift.events.facts.shards import *
from ringrift.events.facts.steering import *
from ringrift.events.facts.training import *
from ringrift.events.facts.vocabulary import *
