"""The durable queue and its chain: one SQLite file that the station owns and the link reads and marks."""
