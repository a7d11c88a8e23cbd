"""PC/SC: the only file that talks to pcscd.

Our own ``SCardGetStatusChange`` loop, because the library's monitor dies for ever when pcscd restarts. What PC/SC
does under fault was measured, and is met here: a context never recovers and is made anew; ``SUCCESS`` with no bytes
means that the card is gone; a card that is reported again after pcscd came back is the same insertion; readers
change their names and are matched by prefix; the card is left powered (``SCARD_LEAVE_CARD``), or the next one can
stay unseen.

PC/SC has no time-outs: a call can block for ever. So this runs only in the reader worker, which can be killed.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from smartcard import scard

from appliance.errors import (
    CardBusy,
    CardError,
    CardGarbled,
    CardMute,
    CardRemoved,
    CardServiceDown,
    NoReader,
    NotAThaiIdCard,
    ReaderUnavailable,
)
from appliance.ports import Insertion

TRAFFIC = 5  # log level below DEBUG: APDU bytes are personal data and never reach an ordinary log

_PNP = "\\\\?PnP?\\Notification"
_CONNECT_PATIENCE_S = (0.05, 0.1, 0.2, 0.4)
_ACCESS_DENIED = 0x8010006A

_log = logging.getLogger(__name__)

_CARD_FAULTS: dict[int, type[CardError]] = {
    scard.SCARD_E_NO_SMARTCARD: CardRemoved,
    scard.SCARD_W_REMOVED_CARD: CardRemoved,
    scard.SCARD_E_NOT_TRANSACTED: CardRemoved,
    scard.SCARD_W_UNRESPONSIVE_CARD: CardMute,
    scard.SCARD_W_UNPOWERED_CARD: CardMute,
    scard.SCARD_W_UNSUPPORTED_CARD: NotAThaiIdCard,
    scard.SCARD_E_PROTO_MISMATCH: NotAThaiIdCard,
    scard.SCARD_E_SHARING_VIOLATION: CardBusy,
    scard.SCARD_W_RESET_CARD: CardBusy,
    scard.SCARD_E_INSUFFICIENT_BUFFER: CardGarbled,
}
_READER_GONE = (scard.SCARD_E_UNKNOWN_READER, scard.SCARD_E_READER_UNAVAILABLE)
_WORTH_WAITING = (
    scard.SCARD_W_REMOVED_CARD,  # many readers need a moment after insertion
    scard.SCARD_W_UNRESPONSIVE_CARD,
    scard.SCARD_E_SHARING_VIOLATION,
)


class PcscChannel:
    """An open line to the card in a reader (``ports.CardChannel``)."""

    def __init__(self, handle: int, protocol: int, atr: bytes) -> None:
        self._handle = handle
        self._pci = scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        self.atr = atr

    def transmit(self, command: bytes) -> bytes:
        """Send one APDU. Raises CardError, ReaderUnavailable."""
        _log.log(TRAFFIC, "> %s", command.hex())
        result, answer = scard.SCardTransmit(self._handle, self._pci, list(command))
        if result != scard.SCARD_S_SUCCESS:
            raise _fault(result)
        if len(answer) == 0:
            raise CardRemoved("the card left in the middle of a command")
        _log.log(TRAFFIC, "< %s", bytes(answer).hex())
        return bytes(answer)


class PcscSlot:
    """The slot of the first reader whose name starts with ``name_prefix`` (``ports.CardSlot``).

    Args:
        name_prefix: start of the reader's name; empty for any reader.
        allowed: starts of the names of readers that may be used at all; empty allows every reader.
    """

    def __init__(self, name_prefix: str = "", allowed: tuple[str, ...] = ()) -> None:
        self._prefix = name_prefix
        self._allowed = allowed or ("",)
        self._context: int | None = None
        self._reader = ""
        self._state = scard.SCARD_STATE_UNAWARE
        self._pnp_state = scard.SCARD_STATE_UNAWARE
        self._atr = b""
        self._is_present = False
        self._is_returned = False
        self._must_compare = False
        self._count = 0
        self._noticed_s = 0.0

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return the insertion that was not returned yet. Raises ReaderUnavailable."""
        self._look_until(timeout_s, lambda: self._is_present and not self._is_returned)
        if not self._is_present or self._is_returned:
            return None
        self._is_returned = True
        return Insertion(self._count, self._reader, self._atr, self._noticed_s)

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the card returned last is out; one that nobody returned yet is taken as that card."""
        if self._count == 0:
            self._look(0)
            self._is_returned = self._is_present
        self._look_until(timeout_s, lambda: not self._is_present or not self._is_returned)
        return not (self._is_present and self._is_returned)

    @contextmanager
    def open(self) -> Iterator[PcscChannel]:
        """Connect shared; leave the card as it is at the end. Raises CardError, ReaderUnavailable."""
        handle, protocol = self._connect()
        try:
            yield PcscChannel(handle, protocol, self._atr)
        except ReaderUnavailable:
            self._forget_service()
            self._must_compare = False  # the card was not read to its end: it is new when the service is back
            raise
        finally:
            scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)

    def close(self) -> None:
        """Release the context."""
        if self._context is not None:
            scard.SCardReleaseContext(self._context)  # its result does not matter: the context may be dead
            self._context = None

    def _connect(self) -> tuple[int, int]:
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        for patience_s in (*_CONNECT_PATIENCE_S, None):
            result, handle, protocol = scard.SCardConnect(
                self._established(), self._reader, scard.SCARD_SHARE_SHARED, protocols
            )
            if result == scard.SCARD_S_SUCCESS:
                return handle, protocol
            if result not in _WORTH_WAITING or patience_s is None:
                break
            time.sleep(patience_s)
        fault = _fault(result)
        if not isinstance(fault, CardError):
            self._lost(result)
            self._must_compare = False
        raise fault

    def _look_until(self, timeout_s: float, is_done: Callable[[], bool]) -> None:
        end_s = time.monotonic() + timeout_s
        left_s = timeout_s
        while not is_done():
            is_last = left_s <= 0 and self._state != scard.SCARD_STATE_UNAWARE  # no time still allows one look
            self._look(max(left_s, 0))
            if is_last:
                return
            left_s = end_s - time.monotonic()

    def _look(self, timeout_s: float) -> None:
        """Wait for one change of the slot, at most ``timeout_s``."""
        if not self._reader:
            self._find_reader(timeout_s)
        waited = [(self._reader, self._state), (_PNP, self._pnp_state)]
        result, states = scard.SCardGetStatusChange(self._established(), int(timeout_s * 1000), waited)
        if result == scard.SCARD_E_TIMEOUT:
            return
        if result != scard.SCARD_S_SUCCESS:
            raise self._lost(result)
        self._pnp_state = states[1][1] & ~scard.SCARD_STATE_CHANGED
        _, state, atr = states[0]
        if state & (scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE):
            raise self._lost(scard.SCARD_E_READER_UNAVAILABLE)
        self._take(state & ~scard.SCARD_STATE_CHANGED, bytes(atr))

    def _take(self, state: int, atr: bytes) -> None:
        was_present, turns = self._is_present, ((state >> 16) - (self._state >> 16)) & 0xFFFF
        is_first = self._state == scard.SCARD_STATE_UNAWARE
        self._state, self._is_present = state, bool(state & scard.SCARD_STATE_PRESENT)
        if not self._is_present:
            self._must_compare = False
            return
        is_swapped = turns >= 2 and not is_first
        is_same_after_loss = self._must_compare and atr == self._atr
        self._must_compare = False
        if (not was_present or is_swapped or is_first) and not is_same_after_loss:
            self._count += 1
            self._is_returned = False
            self._noticed_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._atr = b"" if state & scard.SCARD_STATE_MUTE else atr

    def _find_reader(self, timeout_s: float) -> None:
        result, names = scard.SCardListReaders(self._established(), [])
        if result not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_NO_READERS_AVAILABLE):
            raise self._lost(result)
        matching = sorted(
            name for name in names or () if name.startswith(self._prefix) and name.startswith(self._allowed)
        )
        if not matching:
            self._wait_for_any_reader(timeout_s)
            raise NoReader(f"no reader named {self._prefix!r}" if self._prefix else "no reader is plugged in")
        self._reader, self._state = matching[0], scard.SCARD_STATE_UNAWARE
        _log.info("using reader %s", self._reader)

    def _wait_for_any_reader(self, timeout_s: float) -> None:
        waited = [(_PNP, self._pnp_state)]
        result, states = scard.SCardGetStatusChange(self._established(), int(timeout_s * 1000), waited)
        if result == scard.SCARD_S_SUCCESS:
            self._pnp_state = states[0][1] & ~scard.SCARD_STATE_CHANGED
        elif result != scard.SCARD_E_TIMEOUT:
            raise self._lost(result)

    def _established(self) -> Any:
        if self._context is None:
            result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
            if result != scard.SCARD_S_SUCCESS:
                raise _service_fault(result)
            self._context, self._pnp_state = context, scard.SCARD_STATE_UNAWARE
        return self._context

    def _lost(self, result: int) -> NoReader | CardServiceDown:
        """Forget what a failed look makes doubtful and return the exception that says so."""
        fault = _fault(result)
        if isinstance(fault, NoReader):
            self._reader, self._is_present, self._state = "", False, scard.SCARD_STATE_UNAWARE
            return fault
        self._forget_service()
        return fault if isinstance(fault, CardServiceDown) else _service_fault(result)

    def _forget_service(self) -> None:
        """Drop the context: it never recovers. A card that stays in over the outage is the same insertion."""
        self.close()
        self._must_compare = self._is_present and self._is_returned
        self._reader, self._state = "", scard.SCARD_STATE_UNAWARE


def _fault(result: int) -> CardError | NoReader | CardServiceDown:
    code = result & 0xFFFFFFFF
    if code in _CARD_FAULTS:
        return _CARD_FAULTS[code](f"PC/SC says {code:08X}")
    if code in _READER_GONE:
        return NoReader("the reader was unplugged")
    return _service_fault(result)


def _service_fault(result: int) -> CardServiceDown:
    code = result & 0xFFFFFFFF
    if code == _ACCESS_DENIED:
        return CardServiceDown(
            "pcscd refuses this user (8010006A): install the polkit rule of the package, or pcscd has no room left"
        )
    return CardServiceDown(f"pcscd does not answer ({code:08X}): systemctl start pcscd.socket")
