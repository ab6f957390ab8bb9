"""The HTTP API over the champions. Never opens the lake: reads what was published, writes to the landing zone."""
