"""Reports: who was there, is an export sound, is the store sound. Nothing here writes to the store."""
