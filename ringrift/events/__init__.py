"""Event types, codec and settings: the vocabulary of the log. Imports nothing else of ours."""

from ringrift.events.codec import *
from ringrift.events.errors import *
from ringrift.events.fact import *
from ringrift.events.registry import *
from ringrift.events.settings import Settings as Settings
