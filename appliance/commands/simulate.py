"""Commands that put virtual hardware in the place of real."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from appliance.commands.call import Call
from appliance.errors import CardServiceDown, WrongUse

if TYPE_CHECKING:
    from appliance.simulate.card import VirtualCard

_NOTICED_WITHIN_S = 3.0  # pcscd looks every 0.4 s


def card(call: Call) -> int:
    """List the deck, or keep a card of it in the virtual reader until the end of standard input or Ctrl-C.

    Raises:
        WrongUse: no such card, no card named, or two.
        CardServiceDown: no virtual reader.
    """
    name, listed = call.options.name, call.options.deck
    if name and listed is not None:
        raise WrongUse(f"name one card: either {name} or --deck")
    if listed == "":
        return _list_deck(call)
    if not (name or listed):
        raise WrongUse("name a card, such as person-1; `card-station simulate card --deck` lists them all")
    return _hold(name or listed, _chosen(call, name or listed), call.options.port)


def _list_deck(call: Call) -> int:
    from appliance.simulate.deck import names

    cards = names()
    width = max(map(len, cards))
    call.show(
        [{"name": name, "about": about} for name, about in cards.items()],
        [f"{name:{width}}  {about}" for name, about in cards.items()],
    )
    return 0


def _chosen(call: Call, name: str) -> "VirtualCard":
    """Return the card, at the end of a serial line where one is asked for."""
    from appliance.simulate.deck import deck
    from appliance.simulate.line import OnLine, SerialLine

    made = deck(name)
    if call.options.line is None:
        return made
    return OnLine(made, SerialLine.parse(call.options.line, call.options.clock_hz))


def _hold(name: str, inserted: "VirtualCard", port: int) -> int:
    from appliance.simulate.vpcd import VpcdCard

    held = VpcdCard(inserted, port)
    try:
        held.insert()
    except OSError:
        raise CardServiceDown(
            f"no virtual reader listens on port {port}: scripts/deck starts one, and reads a card of the deck"
        ) from None
    if not held.wait_noticed(_NOTICED_WITHIN_S):
        held.remove()
        raise CardServiceDown(
            f"the reader on port {port} does not notice the card: take the other one out, see to pcscd"
        )
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
