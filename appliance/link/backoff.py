"""How long to wait before the next attempt to connect. Pure: chance in, seconds out.

Pauses grow and are never the same at two stations, or after an outage of the broker two hundred thousand of them
would come back in the same second. Each pause is drawn between the shortest and all the pauses before it together, so
nobody waits much longer than the outage lasted; the longest bounds what is drawn from, not what was drawn: else most
stations would end up waiting exactly that long.

Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Its "decorrelated" draws from three times the
pause before, which after ten seconds of outage may be a wait of a minute and a half.
"""

import random
from dataclasses import dataclass, field

SHORTEST_S = 1.0
LONGEST_S = 120.0
_FIRST_SPREAD = 3.0


@dataclass
class Backoff:
    """The pauses of one line.

    Args:
        shortest_s: no pause is shorter. The agency may ask for more with a receipt's ``min_gap_ms``; more than half
            the longest would leave no room for chance, and is taken for that half.
        longest_s: no pause is longer.
        chance: where the jitter comes from.
    """

    shortest_s: float = SHORTEST_S
    longest_s: float = LONGEST_S
    chance: random.Random = field(default_factory=random.SystemRandom)
    _waited_s: float = 0.0

    def next_s(self) -> float:
        """Return the next pause in seconds."""
        shortest_s = min(self.shortest_s, self.longest_s / 2)
        most_s = min(max(self._waited_s, shortest_s * _FIRST_SPREAD), self.longest_s)
        pause_s = self.chance.uniform(shortest_s, most_s)
        self._waited_s += pause_s
        return pause_s

    def jittered_s(self, least_s: float) -> float:
        """Return a pause between ``least_s`` and twice as long, for who must stay away for a while."""
        return self.chance.uniform(least_s, 2 * least_s)

    def reset(self) -> None:
        """Begin with a short pause again: the last connection held."""
        self._waited_s = 0.0
