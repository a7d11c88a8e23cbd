"""Commands that put virtual hardware in the place of real."""

import sys
from contextlib import suppress

from appliance.commands.call import Call
from appliance.errors import CardServiceDown


def card(call: Call) -> int:
    """Keep a card of the deck in the virtual reader until the end of standard input or Ctrl-C.

    Raises:
        WrongUse: no such card.
        CardServiceDown: no virtual reader.
    """
    from appliance.simulate.deck import deck
    from appliance.simulate.vpcd import VpcdCard

    name, port = call.options.name, call.options.port
    held = VpcdCard(deck(name), port)
    try:
        held.insert()
    except OSError:
        raise CardServiceDown(
            f"no virtual reader listens on port {port}: run this inside scripts/private with pcscd"
        ) from None
    with suppress(OSError):
        sys.stderr.write(f"{name} is in; press Enter to take it out\n")
    with suppress(KeyboardInterrupt, EOFError):
        input()
    held.remove()
    return 0


def panel(call: Call) -> int:
    """Show the virtual panel in the terminal."""
    from appliance.simulate.panel import view

    return view(call.runtime)
