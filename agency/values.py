"""What options and arguments may hold: days, whole numbers, hosts, the broker's address. No I/O but today's date."""

import argparse
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from agency.clock import today
from appliance.errors import WrongUse

MAX_PORT = 65535
MAX_SEQUENCE = 9_999_999_999  # ten digits, as an event writes it

_DAY = re.compile(r"([0-9]{4})-[0-9]{2}-[0-9]{2}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAX_NAME = 253
_BUDDHIST_YEARS = 543  # the Buddhist Era's lead over the Common Era


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return an argument type: a whole number within bounds."""

    def parse(text: str) -> int:
        number = int(text) if _WHOLE.fullmatch(text) else least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number, {least} to {most}")
        return number

    return parse


def part_of(text: str) -> tuple[int, int]:
    """Return an argument ``K/N``, the K-th of N."""
    number, _, of = text.partition("/")
    if not (_WHOLE.fullmatch(number) and _WHOLE.fullmatch(of) and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError("must be K/N, the K-th of N")
    return int(number), int(of)


def parse_day(text: str | None, option: str) -> str:
    """Return a date as YYYY-MM-DD, today's if none is given. It is at most tomorrow's, by the Thai calendar day.

    Raises:
        WrongUse: it is no date, or later: a Buddhist year is 543 too many.
    """
    now = date.fromisoformat(today())
    if text is None:
        return now.isoformat()
    shape = _DAY.fullmatch(text)
    year = int(shape[1]) if shape else 0
    if abs(year - _BUDDHIST_YEARS - now.year) <= 100:
        common = f"{year - _BUDDHIST_YEARS:04d}"
        raise WrongUse(
            f"{option}: the year {year} looks Buddhist; in the Common Era it is {common}: {common}{text[4:]}"
        )
    try:
        day = date.fromisoformat(text if shape else "")
    except ValueError:
        raise WrongUse(f"{option} must be a date, YYYY-MM-DD in the Common Era") from None
    if day > now + timedelta(days=1):
        raise WrongUse(f"{option}: {day} is later than tomorrow")
    return day.isoformat()


def is_host(text: str) -> bool:
    """Say whether this is an IP address or a DNS name, each label of which is one."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.split(".")
        return len(text) <= _MAX_NAME and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdecimal()
    return "%" not in text  # a zone means nothing on another machine


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is.

    Args:
        host: name or address.
        port: 1 to 65535, or None for the agency's own.
    """

    host: str
    port: int | None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def broker_address(text: str) -> BrokerAddress:
    """Read ``HOST[:PORT]``: an argument type."""
    host, colon, port = text.partition(":")
    if not is_host(host) or (colon and not re.fullmatch(r"[0-9]{1,5}", port)):
        raise argparse.ArgumentTypeError("must be HOST or HOST:PORT")
    number = int(port) if colon else None
    if number is not None and not 1 <= number <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"the port must be 1 to {MAX_PORT}")
    return BrokerAddress(host, number)
