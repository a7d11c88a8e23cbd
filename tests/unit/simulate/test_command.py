"""``card-station simulate card``: lists the deck, or holds one card in the virtual reader."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from appliance import cli
from appliance.simulate.card import VirtualCard
from appliance.simulate.deck import names
from appliance.simulate.line import OnLine
from appliance.simulate.quirks import MuteAt
from appliance.simulate.vpcd import VpcdCard


def run(line: str) -> int:
    return cli.main(["simulate", "card", *line.split()])


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("card-station: U00: ")
    return err


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[VirtualCard]:
    """No virtual reader: the cards that would have been put in."""
    cards: list[VirtualCard] = []
    monkeypatch.setattr(VpcdCard, "insert", lambda self: cards.append(self.card))
    monkeypatch.setattr(VpcdCard, "wait_noticed", lambda self, timeout_s: True)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return cards


@pytest.fixture
def reader() -> Iterator[int]:
    """A virtual reader that takes one card and powers it up; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as hand:
        hand.submit(power_up, listener)
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def power_up(listener: socket.socket) -> None:
    with suppress(OSError), listener.accept()[0] as line:
        line.sendall(b"\x00\x01\x01")
        line.recv(1)


def test_the_deck_is_listed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--deck") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [[name, about] for name, about in names().items()]
    assert len({line.index(line.split(maxsplit=1)[1]) for line in out.splitlines()}) == 1, "in two columns"


@pytest.mark.parametrize("line", ["--deck --json", "--json --deck"])
def test_the_deck_is_listed_as_data(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 0
    cards = json.loads(capsys.readouterr().out)
    assert cards == [{"name": name, "about": about} for name, about in names().items()]


@pytest.mark.parametrize("line", ["mute-at-3", "--deck mute-at-3"])
def test_a_card_is_put_in_by_its_name_both_ways(
    line: str, held: list[VirtualCard], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line) == 0
    (card,) = held
    assert isinstance(card, MuteAt)
    assert capsys.readouterr() == ("", "mute-at-3 is in; press Enter to take it out\n")


@pytest.mark.parametrize("line", ["", "--port 1234", "--line 512/32", "--json"])
def test_without_a_name_the_words_say_what_to_do(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 2
    assert "person-1; `card-station simulate card --deck` lists them all" in complaint(capsys)


@pytest.mark.parametrize("line", ["person-1 --deck", "person-1 --deck mute", "person-1 --deck person-1"])
def test_two_names_are_one_too_many(line: str, held: list[VirtualCard], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 2
    assert "name one card" in complaint(capsys)
    assert held == []


@pytest.mark.parametrize(("line", "near"), [("lifetme", "lifetime"), ("--deck bnak", "bank"), ("photo-5188", "5118")])
def test_a_name_that_is_not_there_is_answered_with_one_that_is(
    line: str, near: str, held: list[VirtualCard], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line) == 2
    assert f"{near}" in complaint(capsys)
    assert held == []


@pytest.mark.parametrize(
    ("line", "f", "d", "clock_hz"),
    [
        ("person-1 --line 512/32", 512, 32, 4_000_000),
        ("--deck person-1 --line 372/1 --clock-hz 5000000", 372, 1, 5_000_000),
        ("person-1 --clock-hz 4800000 --line 372/12", 372, 12, 4_800_000),
    ],
)
def test_a_card_can_be_at_the_end_of_a_serial_line(
    line: str, f: int, d: int, clock_hz: int, held: list[VirtualCard]
) -> None:
    assert run(line) == 0
    (card,) = held
    assert isinstance(card, OnLine)
    assert (card._line.f, card._line.d, card._line.clock_hz) == (f, d, clock_hz)


def test_without_a_line_answers_come_at_once(held: list[VirtualCard]) -> None:
    assert run("person-1 --clock-hz 4000000") == 0
    assert not isinstance(held[0], OnLine)


@pytest.mark.parametrize("line", ["512", "512/0", "a/b", "4000000"])
def test_what_is_no_line_is_wrong_use(line: str, held: list[VirtualCard], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"person-1 --line {line}") == 2
    assert "512/32" in complaint(capsys)
    assert held == []


@pytest.mark.parametrize("clock", ["0", "-1", "x", "20000001", "4e6"])
def test_what_is_no_clock_is_wrong_use(clock: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"person-1 --line 512/32 --clock-hz {clock}") == 2
    assert "20000000" in complaint(capsys) or clock == "-1"


def test_without_a_virtual_reader_the_words_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reader: int
) -> None:
    monkeypatch.setattr(VpcdCard.insert, "__defaults__", (0.0,))
    assert run("person-1 --port 1") == 7
    err = capsys.readouterr().err
    assert "port 1:" in err
    assert "scripts/deck" in err


def test_a_reader_that_holds_another_card_takes_none(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        assert run(f"person-1 --port {busy.getsockname()[1]}") == 7
    assert "take the other one out" in capsys.readouterr().err


@pytest.mark.parametrize("hand", ["enter", "end", "interrupt"])
def test_the_card_stays_until_it_is_taken_out(hand: str, reader: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def wait() -> str:
        waiting.set()
        assert go_on.wait(5)
        if hand == "enter":
            return ""
        raise {"end": EOFError, "interrupt": KeyboardInterrupt}[hand]

    monkeypatch.setattr("builtins.input", wait)
    ended: list[int] = []
    holding = threading.Thread(target=lambda: ended.append(run(f"person-1 --port {reader}")))
    holding.start()
    assert waiting.wait(5)
    assert ended == []
    go_on.set()
    holding.join(5)
    assert ended == [0]
