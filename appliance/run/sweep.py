"""Erases what may not stay any longer, a few rows at a time, while nobody stands at the station.

Only a clock that is sure says how old a receipt is: on any other, everything stays until the clock is right.
"""

import logging
from collections.abc import Mapping

from appliance.errors import OutboxDamaged
from appliance.outbox.check import suspect
from appliance.outbox.store import Outbox
from appliance.ports import Clock

FIRST_S = 10.0  # whoever stands before a station that starts comes first
EVERY_S = 60.0

_log = logging.getLogger(__name__)


class Sweep:
    """The retention of one station.

    Args:
        outbox: what is swept.
        clock: how late it is.
        content_days: how long an event keeps its content after its receipt.
        by_type: event type -> the same for its own service, which may be another one than serves now.
        row_days: how long its row stays; 0 for ever.
    """

    def __init__(
        self, outbox: Outbox, clock: Clock, content_days: int, row_days: int, by_type: Mapping[str, int]
    ) -> None:
        self._outbox, self._clock, self._by_type = outbox, clock, by_type
        self._content_days, self._row_days = content_days, row_days or 36_500
        self._suspect = suspect(outbox.path.parent)
        self._next_s = clock.now().monotonic_s + FIRST_S

    def turn(self) -> int:
        """Do one batch where one is due; return how many rows were erased or deleted.

        Raises:
            OutboxDamaged: the link met damage; the next start looks at all of it.
            StoreError: the database cannot be written now.
        """
        now = self._clock.now()
        if now.monotonic_s < self._next_s:
            return 0
        if self._suspect.exists():
            raise OutboxDamaged("the link met damage in the state database")
        if not now.is_sure:
            return 0
        changed = self._outbox.sweep(now.time, self._content_days, self._row_days, self._by_type)
        if changed:
            _log.info("retention: %d rows", changed)
        else:
            self._outbox.forget_damage(now.time, self._row_days)
            self._next_s = now.monotonic_s + EVERY_S
        return changed
