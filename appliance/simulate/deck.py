"""The deck: virtual cards by name."""

from appliance.errors import WrongUse
from appliance.simulate.card import BankCard, MuteCard, ThaiCard, VirtualCard
from appliance.simulate.persons import Person, person


def deck(name: str) -> VirtualCard:
    """Return a fresh card by name: ``person-1`` (any serial), ``expired``, ``bank``, ``mute``, ``bad-number``.

    Raises:
        WrongUse: no such card.
    """
    if name == "bank":
        return BankCard()
    if name == "mute":
        return MuteCard()
    if name == "expired":
        return ThaiCard(person(3, expiry="25630101"))
    if name == "bad-number":
        who = person(5)
        wrong = who.citizen_id[:12] + str((int(who.citizen_id[12]) + 1) % 10)
        return ThaiCard(Person(**{**vars(who), "citizen_id": wrong}))
    serial = name.removeprefix("person-")
    if serial != name and serial.isascii() and serial.isdigit() and len(serial) <= 7:
        return ThaiCard(person(int(serial)))
    raise WrongUse(f"no virtual card named {name!r}; there are person-N, expired, bank, mute, bad-number")
