"""The machine's clock: a wrong one refuses the broker's certificate and leaves expiry dates unchecked."""

from pathlib import Path

from appliance.ports import Clock
from appliance.run.doctor.part import Finding, bad, good, unused

EARLIEST_YEAR, LATEST_YEAR = 2026, 2099
_SET = (
    "connect the network and run 'timedatectl set-ntp true' (or apt-get install chrony); without a network the station "
    "needs a clock chip: dtoverlay=i2c-rtc in /boot/firmware/config.txt"
)


def clock(own: Clock, is_simulated: bool, devices: Path = Path("/dev")) -> Finding:
    """Look at the clock.

    Args:
        own: the machine's clock.
        is_simulated: the station is told to use a simulated one.
        devices: where devices are.
    """
    if is_simulated:
        return unused("this station is told to use a simulated clock")
    at = own.now()
    chip = "with a clock chip" if (devices / "rtc0").exists() else "without a clock chip, so each start needs a network"
    shown = f"{at.time:%Y-%m-%d %H:%M:%S}"
    if not EARLIEST_YEAR <= at.time.year <= LATEST_YEAR:
        return bad(f"{shown} cannot be right; {chip}", _SET)
    if at.quality != "synchronised":
        return bad(f"{shown}, not synchronised with a time server; {chip}", _SET)
    return good(f"{shown}, synchronised; {chip}")
