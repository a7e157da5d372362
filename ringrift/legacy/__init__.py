"""Data of the system before this one: its games, ratings and hosts become facts and files here."""
