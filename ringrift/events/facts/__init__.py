"""The facts: every event type of the system, one module per subject. Import facts from here.

A fact is frozen, keyword-only and versioned. Fields are never renamed or given another meaning: a
change is a new version and an upcaster (`ringrift.events.fact`). Fields that occur in many facts:

- `config`: a board and a number of seats, such as `hex8_2p`; also the scope in the subject.
- `generation`: cycle of self-play, training and evaluation of a config; 0 is before the first
  network.
- `model`: SHA-256 of a network's blob, 64 hex digits, or None without a network.
- `participant`: `<first 12 digits of model, or "baseline">:<harness>:<config of the search>`, the
  unit that has a rating (`ringrift.events.participants`).
- `ticket`: id of the ticket on `WORK` that the fact belongs to.
- `settings_version`: version of the `SettingsChanged` in force when the decision was taken.
- `why`, `reason`: text for people.
- times are in the envelope; durations are in seconds and end in `_seconds`.
"""

from ringrift.events.facts.alerts import *
from ringrift.events.facts.archive import *
from ringrift.events.facts.evaluation import *
from ringrift.events.facts.experiments import *
from ringrift.events.facts.imports import *
from ringrift.events.facts.nodes import *
from ringrift.events.facts.play import *
from ringrift.events.facts.processes import *
from ringrift.events.facts.renting import *
from ringrift.events.facts.replicas import *
from ringrift.events.facts.shards import *
from ringrift.events.facts.steering import *
from ringrift.events.facts.training import *
from ringrift.events.facts.trust import *
from ringrift.events.facts.verification import *
from ringrift.events.facts.vocabulary import *
