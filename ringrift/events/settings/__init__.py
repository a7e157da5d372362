"""Settings: typed structs with defaults, each number with its reason.

`ringrift.events.settings_sources` reads values from elsewhere. The settings in force are a fact
(`SettingsChanged`), and every decision cites their version."""

from ringrift.events.settings.archive import *
from ringrift.events.settings.feedback import *
from ringrift.events.settings.fleet import *
from ringrift.events.settings.kinds import *
from ringrift.events.settings.loop import *
from ringrift.events.settings.renting import *
from ringrift.events.settings.root import *
from ringrift.events.settings.trust import *
