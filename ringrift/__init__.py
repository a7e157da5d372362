"""RingRift: self-play learning for two to four players on a durable event log."""

__version__ = "0.1.0"
