"""Wiring and processes: the only place that builds adapters, and the only place that catches every exception."""
