"""What a reason code of the broker means for us: the alarm in the status, the error in the log, how long to stay away.

One table for CONNACK, PUBACK, SUBACK and DISCONNECT. paho turns the few codes of MQTT 3.1.1 into those of MQTT 5, so
there is no second table. A code that is no failure and not 0x10 means nothing.

Source: MQTT 5.0, section 2.4; ``docs/operations.md`` says what to do about each alarm.
"""

from dataclasses import dataclass

from appliance.errors import (
    BrokerBusy,
    BrokerRefuses,
    DeliveryError,
    MessageTooLarge,
    NotAuthorised,
    SessionTakenOver,
    WrongProtocol,
)

NO_MATCHING_SUBSCRIBERS = 0x10
SESSION_TAKEN_OVER = 0x8E
FIRST_FAILURE = 0x80


@dataclass(frozen=True)
class Meaning:
    """What to make of a reason code.

    Args:
        alarm: as in the status; empty for none.
        error: its code leads the line in the log.
        pause_s: stay away at least this long where the connection ended so, and at most twice as long.
    """

    alarm: str
    error: type[DeliveryError] = DeliveryError
    pause_s: float = 0.0


NOTHING = Meaning("")
_NOBODY_LISTENS = Meaning("nobody_listens")
_NOT_AUTHORISED = Meaning("not_authorised", NotAuthorised, 60)
_BUSY = Meaning("broker_busy", BrokerBusy, 15)
_TAKEN_OVER = Meaning("session_taken_over", SessionTakenOver, 300)  # or two twins put each other out for ever
_TOO_LARGE = Meaning("message_too_large", MessageTooLarge, 60)
_WRONG_PROTOCOL = Meaning("wrong_protocol", WrongProtocol, 60)
_REFUSES = Meaning("broker_refuses", BrokerRefuses, 15)

_MEANINGS = {
    NO_MATCHING_SUBSCRIBERS: _NOBODY_LISTENS,
    0x81: _WRONG_PROTOCOL,  # malformed packet
    0x82: _WRONG_PROTOCOL,  # protocol error
    0x84: _WRONG_PROTOCOL,  # unsupported protocol version
    0x85: _NOT_AUTHORISED,  # client identifier not valid
    0x86: _NOT_AUTHORISED,  # bad user name or password
    0x87: _NOT_AUTHORISED,  # not authorised
    0x88: _BUSY,  # server unavailable
    0x89: _BUSY,  # server busy
    0x8A: _NOT_AUTHORISED,  # banned
    0x8B: NOTHING,  # server shutting down: it comes back
    0x8C: _NOT_AUTHORISED,  # bad authentication method
    0x8D: NOTHING,  # keep alive timeout: the line was bad
    SESSION_TAKEN_OVER: _TAKEN_OVER,
    0x95: _TOO_LARGE,  # packet too large
    0x96: _BUSY,  # message rate too high
    0x97: _BUSY,  # quota exceeded
    0x9F: _BUSY,  # connection rate exceeded
}


def meaning(reason: int) -> Meaning:
    """Return what ``reason`` means; a failure that is not in the table is a refusal without a name."""
    return _MEANINGS.get(reason, _REFUSES if reason >= FIRST_FAILURE else NOTHING)
