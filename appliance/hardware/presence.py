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
        return self.is_in and self.turn == 0

    @property
    def turn(self) -> int:
        """Return pcscd's count of insertions and removals in this slot."""
        return self.state >> 16

    def is_another(self, state: int) -> bool:
        """Say whether ``state`` is that of a slot that was emptied since."""
        return not state & _PRESENT or (state >> 16) != self.turn

    def renew(self) -> None:
        """Take the card that is in for a new insertion."""
        self.is_new = self.is_in
        self.noticed_s = time.clock_gettime(time.CLOCK_BOOTTIME)

    def take(self, state: int, atr: bytes) -> None:
        """Take what PC/SC says now."""
        was_in, before = self.is_in, self.turn
        self.state, self.is_in = state, bool(state & _PRESENT)
        if not self.is_in:
            self.is_new = False
            return
        self.atr = b"" if state & _MUTE else atr
        if not was_in or (self.turn - before) & 0xFFFF >= 2:
            self.renew()
