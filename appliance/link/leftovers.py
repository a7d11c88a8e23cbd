"""What was saved of an earlier chain, on its way to the agency. It waits until the live chain is covered.

One message at a time, in order; the next one when the broker took it, and all of it once more, ever more slowly, until
the receipts for that chain have taken every row out.
"""

import random

from appliance.outbox.delivery import Delivery
from appliance.outbox.salvage import Place

FIRST_PATIENCE_S = 8.0
LONGEST_PATIENCE_S = 300.0
PUBACK_PATIENCE_S = 30.0
_BEGINNING: Place = ("", 0)


class Leftovers:
    """The sender's memory: how far it came, and what it waits for.

    Args:
        delivery: the state database.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.connected()

    def connected(self) -> None:
        """Start over: what was on its way may be lost."""
        self._sent = _BEGINNING
        self._waiting: int | None = None
        self._next_at_s = 0.0
        self._patience_s = FIRST_PATIENCE_S

    def acknowledged(self, mid: int) -> bool:
        """Note a PUBACK; say whether it was one of ours."""
        if mid != self._waiting:
            return False
        self._waiting, self._next_at_s = None, 0.0
        return True

    def next_bundle(self, limit: int, now_s: float) -> list[tuple[Place, str]]:
        """Return the next events of one chain that follow each other, as (place, JWS); none where there is nothing."""
        if now_s < self._next_at_s:
            return []
        found = self._delivery.salvaged(self._sent, limit)
        if not found and self._sent != _BEGINNING:
            self._sent, self._waiting = _BEGINNING, None
            self._next_at_s = now_s + self._patience_s * random.uniform(1, 1.25)  # noqa: S311 - jitter, no secret
            self._patience_s = min(self._patience_s * 2, LONGEST_PATIENCE_S)
        first = found[0][0] if found else _BEGINNING
        return [event for step, event in enumerate(found) if event[0] == (first[0], first[1] + step)]

    def published(self, last: Place, mid: int, now_s: float) -> None:
        """Note that everything up to ``last`` was handed over as message ``mid``."""
        self._sent, self._waiting, self._next_at_s = last, mid, now_s + PUBACK_PATIENCE_S
