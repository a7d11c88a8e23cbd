"""PC/SC: the only file that talks to pcscd.

Our own ``SCardGetStatusChange`` loop, because the library's monitor dies for ever when pcscd restarts. What PC/SC
does under fault was measured, and is met here: a context never recovers and is made anew; ``SUCCESS`` with no bytes
means that the card is gone; a card that is reported again after pcscd came back is the same insertion; readers
change their names and are matched by prefix; the card is left powered (``SCARD_LEAVE_CARD``), or the next one can
stay unseen.

Every reader whose name fits is watched, because a device with several slots shows as several readers and nobody
knows which of them takes the card. A card is used inside one transaction, so that no other program can select its
own applet between two of our commands.

PC/SC has no time-outs: a call can block for ever. So this runs only in the reader worker, which can be killed.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from smartcard import scard

from appliance.errors import CardError, CardRemoved, CardServiceDown, NoReader, ReaderUnavailable
from appliance.hardware.pcsc_faults import READER_GONE, fault_of, service_fault_of
from appliance.hardware.presence import UNAWARE, Presence
from appliance.ports import Insertion

_PNP = "\\\\?PnP?\\Notification"
_GONE_PAUSE_S = 0.05
_BAD_NAME = "a reader's name holds characters that none may: unplug it"

_log = logging.getLogger(__name__)


class PcscChannel:
    """An open line to the card in a reader (``ports.CardChannel``).

    No level of logging shows a command or an answer: their bytes are personal data.
    """

    def __init__(self, handle: int, protocol: int, atr: bytes) -> None:
        self._handle = handle
        self._pci = scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        self.atr = atr

    def transmit(self, command: bytes) -> bytes:
        """Send one APDU. Raises CardError, ReaderUnavailable."""
        result, answer = scard.SCardTransmit(self._handle, self._pci, list(command))
        if result != scard.SCARD_S_SUCCESS:
            raise fault_of(result)
        if len(answer) == 0:
            raise CardRemoved("the card left in the middle of a command")
        return bytes(answer)


class _Held(NamedTuple):
    """The card that was in when something was lost: the same again is no new insertion.

    Args:
        reader: the reader's name.
        atr: the card's answer to reset.
        turn: pcscd's count for the slot; None where pcscd itself was lost, and counts anew.
    """

    reader: str
    atr: bytes
    turn: int | None


class PcscSlot:
    """The slot of whichever reader takes the card (``ports.CardSlot``).

    Args:
        name_prefix: start of the reader's name; empty for any reader.
        allowed: starts of the names of readers that may be used at all; empty allows every reader.
        on_in_use: called with True before the card is connected while another program has it open, and with False
            after it: connecting blocks for as long as that program's transaction lasts, and whoever keeps the time
            should know why.
    """

    def __init__(
        self,
        name_prefix: str = "",
        allowed: tuple[str, ...] = (),
        on_in_use: Callable[[bool], None] = lambda is_in_use: None,
    ) -> None:
        self._prefix = name_prefix
        self._allowed = allowed or ("",)
        self._on_in_use = on_in_use
        self._context: int | None = None
        self._presences: dict[str, Presence] = {}
        self._reader = ""
        self._held: _Held | None = None
        self._pnp_state = UNAWARE
        self._count = 0
        self.is_doubtful = False

    def resume(self, insertion: Insertion) -> None:
        """Take over from a process that was ended: ``insertion`` was returned, and may still be in."""
        self._reader, self._count = insertion.reader, insertion.number
        self._held = _Held(insertion.reader, insertion.atr, insertion.turn)

    def readers(self) -> list[str]:
        """Return the names of all readers that pcscd lists and that can be used. Raises ReaderUnavailable."""
        try:
            result, names = scard.SCardListReaders(self._established(), [])
        except (SystemError, UnicodeError):  # the library's own, on a name that is not UTF-8
            if self._presences:  # one that is plugged in beside ours must not take ours away
                return sorted(self._presences)
            raise NoReader(_BAD_NAME) from None
        if result not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_NO_READERS_AVAILABLE):
            raise self._lost(result)
        usable = sorted(name for name in names or () if name.isascii() and name.isprintable())
        if names and not usable:
            raise NoReader(_BAD_NAME)
        return usable

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return the insertion that was not returned yet. Raises ReaderUnavailable."""
        self._look_until(timeout_s, lambda: self._new() is not None)
        name = self._new()
        if name is None:
            return None
        found = self._presences[name]
        self._reader, found.is_new, self.is_doubtful = name, False, False
        self._count += 1
        return Insertion(self._count, name, found.atr, found.noticed_s, found.turn)

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the card returned last is out."""
        self._look_until(timeout_s, lambda: bool(self._presences) and self._is_removed())
        return self._is_removed()

    @contextmanager
    def open(self) -> Iterator[PcscChannel]:
        """Connect shared, in one transaction; leave the card as it is. Raises CardError, ReaderUnavailable."""
        handle, protocol = self._connect()
        try:
            self._begin(handle)
            yield PcscChannel(handle, protocol, self._presences[self._reader].atr)
        except ReaderUnavailable:
            self._forget_service()
            self._held = None  # the card was not read to its end: it is new when the service is back
            raise
        finally:
            scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)  # ends the transaction too

    def settle(self, is_same: bool) -> None:
        """End the doubt: the card that is in is the one that was returned last, or it is a new insertion."""
        self.is_doubtful = False
        current = self._presences.get(self._reader)
        if current is not None and not is_same:
            current.renew()

    def close(self) -> None:
        """Release the context."""
        if self._context is not None:
            scard.SCardReleaseContext(self._context)  # its result does not matter: the context may be dead
            self._context = None

    def _new(self) -> str | None:
        """Return the reader whose card waits longest."""
        new = {name: one.noticed_s for name, one in self._presences.items() if one.is_new}
        return min(new, key=lambda name: new[name], default=None)

    def _is_removed(self) -> bool:
        current = self._presences.get(self._reader)
        return current is None or not current.is_in or current.is_new

    def _connect(self) -> tuple[int, int]:
        if self._reader not in self._presences:
            raise CardRemoved("no card was put in")
        state = self._state_now()
        if state is not None and self._presences[self._reader].is_another(state):
            raise CardRemoved("the card that was put in is out")
        if is_in_use := bool((state or 0) & (scard.SCARD_STATE_INUSE | scard.SCARD_STATE_EXCLUSIVE)):
            self._on_in_use(True)
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, handle, protocol = scard.SCardConnect(
            self._established(), self._reader, scard.SCARD_SHARE_SHARED, protocols
        )
        if is_in_use:
            self._on_in_use(False)
        if result == scard.SCARD_S_SUCCESS:
            return handle, protocol
        fault = fault_of(result)
        if not isinstance(fault, CardError):
            self._lost(result)
            self._held = None
        raise fault

    def is_held(self) -> bool:
        """Say whether another program has the card for itself alone. Raises ReaderUnavailable."""
        return bool((self._state_now() or 0) & scard.SCARD_STATE_EXCLUSIVE)

    def _state_now(self) -> int | None:
        """Return the slot's state, None where it cannot be had. Asked without memory: a changed use is no event."""
        result, states = self._changes(0, [(self._reader, UNAWARE)])
        return states[0][1] if result == scard.SCARD_S_SUCCESS else None

    def _begin(self, handle: int) -> None:
        result = scard.SCardBeginTransaction(handle)
        if result != scard.SCARD_S_SUCCESS:
            raise fault_of(result)

    def _look_until(self, timeout_s: float, is_done: Callable[[], bool]) -> None:
        end_s = time.monotonic() + timeout_s
        left_s = timeout_s
        has_looked = False
        while not is_done():
            if left_s <= 0 and has_looked:  # no time still allows one look
                return
            has_looked = self._look(max(left_s, 0))
            left_s = end_s - time.monotonic()

    def _look(self, timeout_s: float) -> bool:
        """Wait for one change, at most ``timeout_s``; say whether every reader has told its state."""
        self._list(timeout_s)
        waited = [*((name, one.state) for name, one in self._presences.items()), (_PNP, self._pnp_state)]
        result, states = self._changes(timeout_s, waited)
        blind = [(name, UNAWARE) for name, one in self._presences.items() if one.is_blind]
        if result == scard.SCARD_E_TIMEOUT and blind:
            result, states = self._changes(0, blind)
        if result in READER_GONE:
            time.sleep(_GONE_PAUSE_S)
            return False  # the next look lists the readers anew
        if result not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT):
            raise self._lost(result)
        if result == scard.SCARD_S_SUCCESS:
            for name, state, atr in states:
                self._take(name, state & ~scard.SCARD_STATE_CHANGED, bytes(atr))
            self._held = None
        return True

    def _changes(self, timeout_s: float, waited: list[tuple[str, int]]) -> tuple[int, list[tuple[str, int, list[int]]]]:
        result, states = scard.SCardGetStatusChange(self._established(), int(timeout_s * 1000), waited)
        return result, states

    def _take(self, name: str, state: int, atr: bytes) -> None:
        if name == _PNP:
            self._pnp_state = state
        elif state & (scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE):
            del self._presences[name]
        else:
            one = self._presences[name]
            one.take(state, atr)
            if self._held in (_Held(name, one.atr, None), _Held(name, one.atr, one.turn)):
                self.is_doubtful = self._held.turn is None
                self._reader, one.is_new = name, False

    def _list(self, timeout_s: float) -> None:
        """Watch the readers whose names fit, as they are now."""
        there = self.readers()
        fitting = [name for name in there if name.startswith(self._prefix) and name.startswith(self._allowed)]
        for name in [name for name in self._presences if name not in fitting]:
            _log.info("reader %s is gone", name)
            del self._presences[name]
        for name in fitting:
            if name not in self._presences:
                _log.info("watching reader %s", name)
                self._presences[name] = Presence()
        if not fitting:
            self._wait_for_any_reader(timeout_s)
            listed = ", ".join(f"'{name}'" for name in there)
            raise NoReader(f"no reader fits; plugged in: {listed}" if there else "no reader is plugged in")

    def _wait_for_any_reader(self, timeout_s: float) -> None:
        result, states = self._changes(timeout_s, [(_PNP, self._pnp_state)])
        if result == scard.SCARD_S_SUCCESS:
            self._pnp_state = states[0][1] & ~scard.SCARD_STATE_CHANGED
        elif result != scard.SCARD_E_TIMEOUT:
            raise self._lost(result)

    def _established(self) -> Any:
        if self._context is None:
            result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
            if result != scard.SCARD_S_SUCCESS:
                raise service_fault_of(result)
            self._context, self._pnp_state = context, UNAWARE
        return self._context

    def _lost(self, result: int) -> NoReader | CardServiceDown:
        """Forget what a failed call makes doubtful and return the exception that says so."""
        fault = fault_of(result)
        if isinstance(fault, NoReader):
            self._presences.pop(self._reader, None)
            return fault
        self._forget_service()
        return fault if isinstance(fault, CardServiceDown) else service_fault_of(result)

    def _forget_service(self) -> None:
        """Drop the context: it never recovers. A card that stays in over the outage is the same insertion."""
        self.close()
        current = self._presences.get(self._reader)
        if current is not None and current.is_in and not current.is_new:
            self._held = _Held(self._reader, current.atr, None)
        self._presences.clear()
