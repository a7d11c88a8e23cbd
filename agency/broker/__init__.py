"""The broker: its configuration, its rules of access, and the one client of it (the only import of paho)."""
