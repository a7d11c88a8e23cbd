"""How cards misbehave: each quirk is one small class around any card, and they can be put around each other.

A quirk counts the commands it sees from 1, over all resets, as its ``log`` does.

Example::

    Late(MuteAt(ThaiCard(person(1)), 3), delay_s=0.2)
"""

import time
from collections.abc import Callable

from appliance.simulate.card import APPLET_LOST, OK, Pulled, VirtualCard, is_fetch, is_select

_MORE = 0x61


class Quirk(VirtualCard):
    """A card around another, which passes everything on; each subclass changes one thing."""

    def __init__(self, card: VirtualCard) -> None:
        super().__init__(card.atr)
        self.card = card

    def reset(self) -> None:
        """Reset the card inside."""
        self.card.reset()

    def _say(self, command: bytes) -> bytes | None:
        return self.card.answer(command)


class OtherAtr(Quirk):
    """Gives another answer to reset; empty for none at all."""

    def __init__(self, card: VirtualCard, atr: bytes) -> None:
        super().__init__(card)
        self.atr = atr


class Says(Quirk):
    """Always says the same to some commands, which the card inside never sees.

    Args:
        card: the card inside.
        to: says whether it is one of those commands.
        answer: what it says; None for nothing at all.
    """

    def __init__(self, card: VirtualCard, to: Callable[[bytes], bool], answer: bytes | None) -> None:
        super().__init__(card)
        self._to, self._answer = to, answer

    def _say(self, command: bytes) -> bytes | None:
        return self._answer if self._to(command) else super()._say(command)


class At(Quirk):
    """Is as the card inside until command number ``at``."""

    def __init__(self, card: VirtualCard, at: int) -> None:
        super().__init__(card)
        self.at = at


class MuteAt(At):
    """Says nothing any more from command ``at`` on."""

    def _say(self, command: bytes) -> bytes | None:
        return super()._say(command) if len(self.log) < self.at else None


class ResetAt(At):
    """Loses its applet before command ``at``, as when another program resets it: 69 85 until the next SELECT."""

    _is_lost = False

    def _say(self, command: bytes) -> bytes | None:
        if len(self.log) == self.at:
            self.reset()
            self._is_lost = True
        self._is_lost = self._is_lost and not is_select(command)
        return APPLET_LOST if self._is_lost else super()._say(command)


class PulledAt(At):
    """Leaves its slot at command ``at``, without an answer; when it is put in again, it stays."""

    def _say(self, command: bytes) -> bytes | None:
        answer = super()._say(command)
        if len(self.log) == self.at:
            raise Pulled
        return answer


class SwappedAt(At):
    """Is another card from command ``at`` on, in the state that the first had: a swap too quick for the reader.

    Args:
        card: the first.
        other: the second; it hears everything from the start.
        at: the first command that the second answers.
    """

    def __init__(self, card: VirtualCard, other: VirtualCard, at: int) -> None:
        super().__init__(card, at)
        self._other = other

    def reset(self) -> None:
        """Reset both."""
        super().reset()
        self._other.reset()

    def _say(self, command: bytes) -> bytes | None:
        answers = super()._say(command), self._other.answer(command)
        return answers[len(self.log) >= self.at]


class Late(Quirk):
    """Takes its time for each answer.

    Args:
        card: the card inside.
        delay_s: how long, in seconds.
        sleep: how to wait.
    """

    def __init__(self, card: VirtualCard, delay_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__(card)
        self._delay_s, self._sleep = delay_s, sleep

    def _say(self, command: bytes) -> bytes | None:
        self._sleep(self._delay_s)
        return super()._say(command)


class Endless(Quirk):
    """Announces 255 more bytes for ever, once an applet is selected.

    Args:
        card: the card inside.
        data: what each fetch gives before the next announcement.
    """

    def __init__(self, card: VirtualCard, data: bytes) -> None:
        super().__init__(card)
        self._data = data

    def _say(self, command: bytes) -> bytes | None:
        if is_select(command):
            return super()._say(command)
        return (self._data if is_fetch(command) else b"") + b"\x61\xff"


class WrongLength(Quirk):
    """Wants another length each time it is asked for anything but an applet."""

    def _say(self, command: bytes) -> bytes | None:
        return super()._say(command) if is_select(command) else bytes([0x6C, len(self.log) % 255 + 1])


class AsksLength(Quirk):
    """Answers a READ with 6C and its length, and gives the data once that is asked for."""

    def _say(self, command: bytes) -> bytes | None:
        is_read_without_length = command[:2] == b"\x80\xb0" and len(command) == 7
        if is_read_without_length:
            return bytes([0x6C, command[6]])
        return super()._say(command[:7] if command[:2] == b"\x80\xb0" else command)


class Resized(Quirk):
    """Gives ``by`` bytes more than asked for, or less where that is negative."""

    def __init__(self, card: VirtualCard, by: int) -> None:
        super().__init__(card)
        self._by = by

    def _say(self, command: bytes) -> bytes | None:
        answer = super()._say(command)
        if answer is None or len(answer) <= 2:
            return answer
        data = answer[:-2]
        return data[: max(0, len(data) + self._by)].ljust(len(data) + self._by) + answer[-2:]


class ApduLevel(Quirk):
    """Never announces: gives all data at once, as behind a reader that fetches by itself."""

    def _say(self, command: bytes) -> bytes | None:
        answer, data = super()._say(command), b""
        while answer is not None and len(answer) >= 2 and answer[-2] == _MORE:
            data += answer[:-2]
            answer = super()._say(b"\x00\xc0\x00\x00" + answer[-1:])
        return None if answer is None else data + answer


class PlainSelect(Quirk):
    """Answers a good SELECT with 90 00 and nothing to fetch."""

    def _say(self, command: bytes) -> bytes | None:
        answer = super()._say(command)
        return OK if is_select(command) and answer is not None and answer[:1] == bytes([_MORE]) else answer
