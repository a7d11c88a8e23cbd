"""The patterns of the buzzer, and a player that never keeps its caller waiting.

A newer tone takes the place of an older one that is still playing, with one exception: the tone for *stored* is
always sounded whole, because a person who does not hear it puts the card in again. ``SILENT`` asks for nothing and
stops nothing.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from appliance.panel.words import Tone


class Note(NamedTuple):
    """A part of a pattern.

    Args:
        hertz: 110-1760; 0 is a pause.
        seconds: how long.
    """

    hertz: float
    seconds: float


PATTERNS: dict[Tone, tuple[Note, ...]] = {
    Tone.SILENT: (),
    Tone.STORED: (Note(1760, 0.20),),
    Tone.REFUSED: (Note(330, 0.40), Note(0, 0.15), Note(330, 0.40)),
    Tone.ATTENTION: (Note(880, 0.12), Note(0, 0.08), Note(880, 0.12), Note(0, 0.08), Note(880, 0.12)),
    Tone.AGAIN: (Note(1320, 0.03), Note(0, 0.07), Note(1320, 0.03)),
    Tone.DUTY: (Note(660, 0.10), Note(990, 0.15)),
    Tone.ERROR: (Note(440, 0.20), Note(330, 0.20), Note(220, 0.40)),
}


class TonePlayer:
    """Plays patterns in a thread of its own.

    Args:
        play: sets the pitch of the buzzer in hertz, None for silence; must not raise.
    """

    def __init__(self, play: Callable[[float | None], None]) -> None:
        self._play = play
        self._change = threading.Condition()
        self._waiting: deque[Tone] = deque()
        self._playing: Tone | None = None
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="buzzer", daemon=True)
        self._thread.start()

    def sound(self, tone: Tone) -> None:
        """Play ``tone`` as soon as may be; returns at once."""
        if tone is Tone.SILENT:
            return
        with self._change:
            kept = [waiting for waiting in self._waiting if waiting is Tone.STORED]
            self._waiting = deque([*kept, tone])
            self._change.notify()

    def close(self, timeout_s: float = 2.0) -> None:
        """Finish what must be sounded, then be silent. May be called again."""
        with self._change:
            self._is_closing = True
            self._change.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (tone := self._next()) is not None:
            for note in PATTERNS[tone]:
                self._play(note.hertz or None)
                if self._is_cut_short(note.seconds):
                    break
            self._play(None)

    def _next(self) -> Tone | None:
        with self._change:
            self._playing = None
            self._change.wait_for(lambda: self._waiting or self._is_closing)
            self._playing = self._waiting.popleft() if self._waiting else None
            return self._playing

    def _is_cut_short(self, seconds: float) -> bool:
        """Let a note sound; say whether a newer tone ends the pattern."""
        with self._change:
            return self._change.wait_for(self._is_overtaken, timeout=seconds)

    def _is_overtaken(self) -> bool:
        return bool(self._waiting) and self._playing is not Tone.STORED
