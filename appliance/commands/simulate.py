"""Commands that put virtual hardware in the place of real."""

from appliance.commands.call import Call


def card(call: Call) -> int:
    """Put a virtual card into the virtual reader."""
    from appliance.simulate.card import main

    return main(call.options.name, call.options.port)


def panel(call: Call) -> int:
    """Show the virtual panel in the terminal."""
    from appliance.simulate.panel import view

    return view(call.runtime)
