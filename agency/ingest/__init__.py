"""Ingest: receive, verify, commit, move the high-water mark, sign the receipt."""
