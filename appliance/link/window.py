"""What to publish next. Pure: numbers and times in, numbers out.

Events go out in order, up to ``window`` beyond the last receipt. A PUBACK only frees a place in flight. Where no
receipt comes, everything uncovered is sent again, with pauses that double; after a new connection at once.
"""

import random
from dataclasses import dataclass, field

FIRST_PATIENCE_S = 8.0
LONGEST_PATIENCE_S = 60.0
UNASKED_SIZE = 100


@dataclass
class Window:
    """The sender's memory. It holds no event, so its size does not depend on the backlog.

    Args:
        through: sequence number that the last receipt covers.
        size: events that may be on their way beyond ``through``.
        min_gap_s: least time between two bundles.
        in_flight: messages that may wait for a PUBACK.
    """

    through: int = 0
    size: int = UNASKED_SIZE
    min_gap_s: float = 0.0
    in_flight: int = 0
    _sent: int = 0
    _waiting: set[int] = field(default_factory=set)
    _next_at_s: float = 0.0
    _patience_s: float = FIRST_PATIENCE_S
    _again_at_s: float | None = None
    _unanswered_since_s: float | None = None

    def connected(self, in_flight: int) -> None:
        """Start over from the first uncovered event, by small steps: what was in flight may be lost."""
        self.in_flight = in_flight
        self.size = min(self.size, UNASKED_SIZE)
        self._waiting.clear()
        self._rewind()
        self._patience_s = FIRST_PATIENCE_S

    def disconnected(self) -> None:
        """Stop sending."""
        self.in_flight = 0

    def acknowledged(self, mid: int, is_taken: bool, now_s: float) -> bool:
        """Note a PUBACK; where nobody took the events, send again after a pause. Say whether it was of events."""
        if mid not in self._waiting:
            return False
        self._waiting.discard(mid)
        if not is_taken:
            self._again_at_s = now_s + self._patience_s
        return True

    def received(self, through: int, size: int, min_gap_ms: int, now_s: float) -> None:
        """Note a receipt."""
        if through != self.through:
            self._unanswered_since_s = now_s if self._sent > through else None
            self._patience_s = FIRST_PATIENCE_S
            self._again_at_s = now_s + self._patience_s if self._sent > through else None
        if through < self.through:  # the agency restored a backup
            self._sent = through
        self.through, self.size, self.min_gap_s = through, size, min_gap_ms / 1000
        self._sent = max(self._sent, through)

    def resend_from(self, sequence: int) -> None:
        """Send again from ``sequence`` on: the agency says that it misses it."""
        self._sent = max(self.through, min(self._sent, sequence - 1))

    def next_after(self, head: int, now_s: float, floor: int = 0) -> tuple[int, int] | None:
        """Return (after, limit): publish up to ``limit`` events after sequence number ``after``; None for nothing.

        Args:
            head: the newest event.
            now_s: the time.
            floor: nothing up to this event can be sent any more, also where no receipt covers it.
        """
        if self._again_at_s is not None and now_s >= self._again_at_s and self.in_flight:
            self._rewind()
            self._patience_s = min(self._patience_s * 2, LONGEST_PATIENCE_S)
        self._sent = max(self._sent, floor)
        room = min(max(self.through, floor) + self.size, head) - self._sent
        if room <= 0 or len(self._waiting) >= self.in_flight or now_s < self._next_at_s:
            return None
        return self._sent, room

    def published(self, last: int, mid: int, now_s: float) -> None:
        """Note that every event up to ``last`` was handed over as message ``mid``."""
        self._sent = last
        self._waiting.add(mid)
        if self._unanswered_since_s is None:
            self._unanswered_since_s = now_s
        self._next_at_s = now_s + self.min_gap_s
        if self._again_at_s is None:
            self._again_at_s = now_s + self._patience_s * random.uniform(1, 1.25)  # noqa: S311 - jitter, no secret

    def unanswered_s(self, now_s: float) -> float:
        """Return for how long events went out and no receipt came, over all connections; 0 where all is well."""
        return 0.0 if self._unanswered_since_s is None else now_s - self._unanswered_since_s

    def wait_s(self, head: int, now_s: float) -> float:
        """Return how long until there may be something to do without anything happening."""
        times = [self._next_at_s] if min(self.through + self.size, head) > self._sent else []
        if self._again_at_s is not None:
            times.append(self._again_at_s)
        return max(0.0, min([time - now_s for time in times if time > now_s] or [5.0]))

    def _rewind(self) -> None:
        self._sent = self.through
        self._again_at_s = None
