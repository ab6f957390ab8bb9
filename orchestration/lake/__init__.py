"""The lake: DuckLake connections, the append-only landing zone, and the way from one to the other."""
