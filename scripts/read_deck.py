"""Puts one card of the deck into a virtual reader and runs ``card-station read`` on it; see ``scripts/deck``."""

import subprocess
import sys
import tempfile
from pathlib import Path

from appliance.errors import CardStationError
from appliance.simulate.deck import deck
from appliance.simulate.pcscd import PrivatePcscd
from appliance.simulate.vpcd import VpcdCard

READ = [sys.executable, "-m", "appliance.cli", "read", "--wait", "5"]


def main(name: str, *options: str) -> int:
    """Return the exit code of ``card-station read`` for the card called ``name``."""
    try:
        held = VpcdCard(deck(name))
        with tempfile.TemporaryDirectory() as folder, PrivatePcscd(Path(folder)):
            held.insert()
            code = subprocess.run([*READ, *options], check=False).returncode
            held.remove()
    except CardStationError as error:
        print(f"scripts/deck: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
