"""Whether a card is in one slot, and whether anybody was told: what a reader's successive states mean.

PC/SC counts insertions and removals of a slot in the high word of its state. Between two looks a card may have gone
and another come: the state looks the same, and only the counter tells.

Source: PC/SC part 10 and pcsc-lite (SCardGetStatusChange).
"""

import time
from dataclasses import dataclass

UNAWARE = 0x0000  # nothing is known yet

_PRESENT = 0x0020
_MUTE = 0x0200


@dataclass
class Presence:
    """What is known of the slot of one reader.

    Args:
        state: as PC/SC gave it, its counter of insertions and removals in the high word.
        is_in: a card is in.
        is_new: and nobody was told of it yet.
        atr: its answer to reset; empty where it gives none.
        noticed_s: seconds since boot.
    """

    state: int = UNAWARE
    is_in: bool = False
    is_new: bool = False
    atr: bytes = b""
    noticed_s: float = 0.0

    @property
    def is_blind(self) -> bool:
        """Say whether a swap would go unseen: pcsc-lite compares its counter with ours only where ours is not 0."""
        return self.is_in and self.state >> 16 == 0

    def take(self, state: int, atr: bytes, held_atr: bytes | None) -> bool:
        """Take what PC/SC says now; say whether this is the card that was held when the service was lost."""
        was_in, is_first = self.is_in, self.state == UNAWARE
        turns = ((state >> 16) - (self.state >> 16)) & 0xFFFF
        self.state, self.is_in = state, bool(state & _PRESENT)
        if not self.is_in:
            self.is_new = False
            return False
        self.atr = b"" if state & _MUTE else atr
        if was_in and turns < 2:
            return False
        is_held = is_first and atr == held_atr
        self.is_new = not is_held
        self.noticed_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        return is_held
