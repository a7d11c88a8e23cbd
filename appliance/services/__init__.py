"""What each agency service reads, checks, asks and records: one TOML file a service, and the loader."""
