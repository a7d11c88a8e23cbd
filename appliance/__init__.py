"""Card Station, the appliance: a card goes in, a verdict shows, a signed event is stored. Start with flow.py."""

__version__ = "0.1.0"
