"""Analysis of positions and games, the analysis engine, and games between people and players."""
