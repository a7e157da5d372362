"""The parsers of the commands, those that belong together in one file. What a command does is in a
module of `ringrift.cli`."""
