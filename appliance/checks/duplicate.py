"""Is this the same visit again? A card pulled and put back within the window is not a second attendance."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stamp:
    """When something happened, on both of the station's clocks.

    Args:
        unix_s: wall clock.
        boot: boot id.
        monotonic_s: seconds since that boot.
    """

    unix_s: float
    boot: str
    monotonic_s: float


def is_again(earlier: Stamp, now: Stamp, window_s: float) -> bool:
    """Say whether ``now`` lies within ``window_s`` after ``earlier``; the far edge belongs to the window.

    Within one boot the monotonic clock decides, so a jump of the wall clock neither makes nor hides a duplicate.
    """
    if earlier.boot == now.boot:
        return now.monotonic_s - earlier.monotonic_s <= window_s
    return 0 <= now.unix_s - earlier.unix_s <= window_s
