"""Card Station, the appliance: a card goes in, a verdict shows, a signed event is stored. Start with flow.py."""

__version__ = "0.1.0"
#: Thai date of this version; no event of it is earlier. Moved with every version (docs/adr/0023).
RELEASED = "2026-11-01"
