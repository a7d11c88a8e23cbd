"""The pipe between the flow and the reader worker: every answer and every error comes out as it went in.

Where the worker misbehaves, it is replaced by another program: a real process that prints what it should not.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import errors
from appliance.cards import reading
from appliance.cards.decode import decode
from appliance.cards.record import Record
from appliance.cards.thai_id import ALL, Field
from appliance.errors import CardDeadline, CardError, CardRefused, CardServiceDown, ReaderUnavailable
from appliance.ports import Insertion
from appliance.run.reader import GRACE_S, WorkerReader, _error
from appliance.run.slot_reader import SlotReader
from appliance.run.worker import answer as answer_to
from appliance.run.worker import pack_insertion, unpack_insertion
from appliance.simulate.card import ATR_THAI, BankCard, MuteCard, ThaiCard
from appliance.simulate.persons import person
from appliance.simulate.slot import InMemorySlot

READ = {"do": "read", "fields": ["citizen_id"]}
WAIT = {"do": "wait_card", "timeout_s": 0}
FakeWorker = Callable[[str], WorkerReader]

records = st.builds(
    decode,
    st.dictionaries(st.sampled_from(Field), st.none() | st.binary(max_size=400)),
    st.integers(0, 300),
)
insertions = st.builds(
    Insertion,
    st.integers(0, (1 << 31) - 1),
    st.text(st.characters(codec="ascii", min_codepoint=0x20, max_codepoint=0x7E), max_size=128),
    st.binary(max_size=33),
    st.floats(0, 1),
    st.integers(0, 0xFFFF),
)


def families(family: type[Exception]) -> list[type[Exception]]:
    return [family, *(found for each in family.__subclasses__() for found in families(each))]


PASSED_ON = [*families(CardError), *families(ReaderUnavailable)]


def read_in_memory(card: ThaiCard, fields: Sequence[Field]) -> Record:
    return reading.read(lambda command: card.answer(command) or b"", fields)


class Failing(InMemorySlot):
    """A slot in which every call fails in one way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def wait_card(self, timeout_s: float) -> Insertion | None:
        raise self._error

    def wait_removed(self, timeout_s: float) -> bool:
        raise self._error


def answer(reader: SlotReader, request: dict[str, Any]) -> dict[str, Any]:
    return answer_to(reader, request, lambda message: None)


def over_the_pipe(value: dict[str, Any]) -> dict[str, Any]:
    line = json.dumps(value)
    assert "\n" not in line
    passed: dict[str, Any] = json.loads(line)
    return passed


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorker]:
    """Make a reader whose worker is another program: Python lines that see ``lines`` (requests) and ``say``."""
    python, readers = sys.executable, []

    def make(program: str) -> WorkerReader:
        script = tmp_path / "worker"
        script.write_text(
            f"#!{python} -I\nimport os, pathlib, sys, time\nstarts = pathlib.Path({str(tmp_path / 'starts')!r})\n"
            "starts.open('a').write('x'); start = len(starts.read_text())\n"
            "def say(text):\n    os.write(1, text.encode())\nlines = iter(sys.stdin.readline, '')\n"
            "say('{\"ready\": true}\\n')\n" + program
        )
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        readers.append(WorkerReader(silence_s=0.5))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


@given(records)
def test_a_record_comes_out_as_it_went_in(record: Record) -> None:
    assert Record.from_data(over_the_pipe(record.as_data())) == record


@given(insertions)
def test_an_insertion_comes_out_as_it_went_in(insertion: Insertion) -> None:
    unpacked = unpack_insertion(over_the_pipe(pack_insertion(insertion)))
    assert unpacked == insertion
    assert math.copysign(1, unpacked.at_monotonic_s) == math.copysign(1, insertion.at_monotonic_s)


@pytest.mark.parametrize("kind", PASSED_ON)
@pytest.mark.parametrize("do", ["wait_card", "wait_removed"])
def test_every_error_survives_the_pipe_as_itself_with_its_code(kind: type[CardError], do: str) -> None:
    error: Exception = CardRefused(0x6982) if kind is CardRefused else kind("why (8010000C)")
    passed = _error(over_the_pipe(answer(SlotReader(Failing(error), ALL), {"do": do, "timeout_s": 0})))
    assert type(passed) is kind
    assert passed.code == kind.code
    assert str(passed) == str(error)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("a 0000000001234 b", "a ... b"),
        ("1234567890123", "..."),
        ("x" * 300, "x" * 200),
        ("ACS 12345678", "ACS 12345678"),
    ],
)
def test_of_what_a_worker_says_nothing_long_passes(message: str, said: str) -> None:
    assert str(_error({"error": "CardGarbled", "message": message})) == said


@pytest.mark.parametrize("message", ["\x1b[31mred", "two\nlines", "ชื่อ"])
def test_what_a_worker_made_up_is_not_repeated(message: str) -> None:
    """It reads hostile bytes; a message of its own could carry any of them into a log."""
    assert str(_error({"error": "CardGarbled", "message": message})) == "the reader worker says no more"


def test_a_refusal_keeps_its_status_word() -> None:
    passed = _error(over_the_pipe(answer(SlotReader(Failing(CardRefused(0x6B00)), ALL), WAIT)))
    assert isinstance(passed, CardRefused)
    assert passed.sw == 0x6B00


@pytest.mark.parametrize("error", [errors.StoreError("x"), errors.ConfigError(["x"]), OSError(5, "x"), KeyError("x")])
def test_an_error_of_another_family_is_no_answer(error: Exception) -> None:
    with pytest.raises(type(error)):
        answer(SlotReader(Failing(error), ALL), WAIT)


@pytest.mark.parametrize("name", ["StoreError", "ConfigError", "CardStationError"])
def test_an_answer_cannot_raise_an_error_of_another_family(name: str) -> None:
    with pytest.raises(TypeError):
        _error({"error": name, "message": "x"})


def test_an_empty_slot_a_card_and_its_removal_are_answers() -> None:
    slot = InMemorySlot()
    reader = SlotReader(slot, ALL)
    assert answer(reader, WAIT) == {"insertion": None}
    slot.insert(ThaiCard(person(1)))
    insertion = unpack_insertion(answer(reader, WAIT)["insertion"])
    assert (insertion.number, insertion.atr) == (1, ATR_THAI)
    assert answer(reader, {"do": "wait_removed", "timeout_s": 0}) == {"removed": False}
    assert Record.from_data(answer(reader, READ)["record"]).citizen_id == person(1).citizen_id
    slot.remove()
    assert answer(reader, {"do": "wait_removed", "timeout_s": 0}) == {"removed": True}
    assert answer(reader, READ) == {"error": "CardRemoved", "message": "no card is in"}


def test_cards_that_cannot_be_read_are_answers_that_hold_no_byte_of_them() -> None:
    for card, name in ((BankCard(), "NotAThaiIdCard"), (MuteCard(), "CardMute")):
        slot = InMemorySlot()
        slot.insert(card)
        reader = SlotReader(slot, ALL)
        assert answer(reader, WAIT)["insertion"]
        assert answer(reader, READ)["error"] == name


def test_a_card_without_an_atr_is_mute_and_is_sent_no_command() -> None:
    card, slot = ThaiCard(person(1)), InMemorySlot()
    card.atr = b""
    slot.insert(card)
    assert answer(SlotReader(slot, ALL), READ)["error"] == "CardMute"
    assert card.log == []


@pytest.mark.parametrize("do", ["", "write", "READ", None])
def test_a_request_that_nobody_knows_is_refused(do: str | None) -> None:
    with pytest.raises(ValueError, match="no request named"):
        answer(SlotReader(InMemorySlot(), ALL), {"do": do})


def test_a_field_that_nobody_knows_is_refused_before_the_card_is_touched() -> None:
    card, slot = ThaiCard(person(1)), InMemorySlot()
    slot.insert(card)
    with pytest.raises(KeyError):
        answer(SlotReader(slot, ALL), {"do": "read", "fields": ["citizen_id", "shoe_size"]})
    assert card.log == []


def test_the_real_worker_dies_of_an_unknown_request_and_a_new_one_answers() -> None:
    reader = WorkerReader("no such reader")
    with pytest.raises(CardServiceDown, match="no answer"):
        reader._ask({"do": "format the disk"}, 10, lambda answer: answer)
    with pytest.raises(ReaderUnavailable):
        reader.wait_card(0)
    reader.close()
    assert reader._worker is None


GARBAGE = ["no json\n", "\n", "{\n", "\x00\x01\n", "Exception ignored in: <function>\n"]
WRONG_JSON = ["5\n", "null\n", "[]\n", "{}\n", '{"insertion": {"a": 1}}\n', '{"error": "Nonsense", "message": ""}\n']


@pytest.mark.parametrize("text", GARBAGE)
def test_a_worker_that_prints_garbage_is_replaced(fake: FakeWorker, text: str) -> None:
    reader = fake(f"next(lines); say({text!r} if start == 1 else '{{\"insertion\": null}}\\n'); time.sleep(9)\n")
    with pytest.raises(CardServiceDown, match="no answer"):
        reader.wait_card(0)
    assert reader.wait_card(0) is None


@pytest.mark.parametrize("text", WRONG_JSON)
def test_a_worker_that_prints_json_of_another_shape_is_replaced(fake: FakeWorker, text: str) -> None:
    reader = fake(f"next(lines); say({text!r} if start == 1 else '{{\"insertion\": null}}\\n'); time.sleep(9)\n")
    with pytest.raises(CardServiceDown):
        reader.wait_card(0)
    assert reader.wait_card(0) is None


@pytest.mark.parametrize("text", ["", '{"insertion"', '{"insertion": null}'], ids=["nothing", "half", "no-newline"])
def test_a_worker_that_dies_in_its_answer_is_replaced(fake: FakeWorker, text: str) -> None:
    reader = fake(
        f"next(lines)\nif start == 1:\n    say({text!r}); os._exit(1)\n"
        "say('{\"insertion\": null}\\n'); time.sleep(9)\n"
    )
    with pytest.raises(CardServiceDown):
        reader.wait_card(0)
    assert reader.wait_card(0) is None


def test_a_worker_that_dies_between_requests_is_replaced_without_a_word(fake: FakeWorker) -> None:
    reader = fake("next(lines); say('{\"insertion\": null}\\n')\n")
    assert reader.wait_card(0) is None
    assert reader._worker is not None
    reader._worker.wait(5)
    assert reader.wait_card(0) is None


def test_words_after_an_answer_are_never_taken_for_the_next_answer(fake: FakeWorker) -> None:
    reader = fake(
        "for line in lines:\n"
        "    say('{\"insertion\": null}\\nmore words\\n' if start == 1 else '{\"removed\": true}\\n')\n"
    )
    assert reader.wait_card(0) is None
    with pytest.raises(CardServiceDown):
        reader.wait_removed(0)
    assert reader.wait_removed(0) is True


def test_an_answer_in_crumbs_is_one_answer(fake: FakeWorker) -> None:
    reader = fake(
        "next(lines)\nfor crumb in '{\"insertion\": null}\\n':\n    say(crumb); time.sleep(0.005)\ntime.sleep(9)\n"
    )
    assert reader.wait_card(0) is None


@pytest.mark.parametrize(
    "program", ["next(lines); time.sleep(60)\n", "next(lines)\nwhile True: say('x'); time.sleep(0.01)\n"]
)
def test_a_read_without_an_end_costs_its_deadline_and_the_worker(fake: FakeWorker, program: str) -> None:
    reader = fake("next(lines);" + program)
    before_s = time.monotonic()
    with pytest.raises(CardDeadline) as raised:
        reader.read([Field.CITIZEN_ID])
    assert 0.4 < time.monotonic() - before_s < 1.5
    assert (raised.value.code, raised.value.why) == ("C03", "timeout")
    assert reader._worker is None


MADE_UP_RECORDS = [
    {"citizen_id": "\ud800" * 13}, {"citizen_id": "1" * 30_000}, {"citizen_id": 5}, {"citizen_id": ["1"]},
    {"citizen_id": None, "expiry_date": None}, {}, {"citizen_id": None, "apdus": -1},
    {"citizen_id": None, "apdus": 1e999},
    {"citizen_id": None, "apdus": 10**13}, {"citizen_id": None, "apdus": "3"}, {"citizen_id": None, "problems": [5]},
    {"citizen_id": None, "problems": [{"field": "\x1b]0;x\x07", "code": "parts", "raw": ""}]},
    {"citizen_id": None, "problems": [{"field": ["a"], "code": "parts", "raw": ""}]},
    {"citizen_id": None, "problems": [{"field": "sex", "code": "parts", "raw": "1000000001"}, {"field": 1}]},
]  # fmt: skip


@pytest.mark.parametrize("record", MADE_UP_RECORDS, ids=range(len(MADE_UP_RECORDS)))
def test_a_record_that_no_card_can_give_is_no_record(fake: FakeWorker, record: dict[str, Any]) -> None:
    said = json.dumps({"record": {"apdus": 3, "problems": [], **record}}) + "\n"
    reader = fake(f"next(lines); say({said!r}); time.sleep(9)\n")
    with pytest.raises(CardServiceDown):
        reader.read([Field.CITIZEN_ID])


@pytest.mark.parametrize("text", ["[" * 200_000 + "\n", '{"error": "CardRefused", "sw": Infinity}\n', "1" * 300_000])
def test_json_that_breaks_parsers_breaks_only_the_worker(fake: FakeWorker, text: str) -> None:
    reader = fake(f"next(lines); say({text!r}); time.sleep(9)\n")
    with pytest.raises(CardServiceDown):
        reader.read([Field.CITIZEN_ID])


@pytest.mark.parametrize("at_s", ["NaN", "-1.0", "1e18", '"now"', "5"])
def test_an_insertion_from_nowhere_is_none(fake: FakeWorker, at_s: str) -> None:
    told = f'{{"insertion": {{"number": 1, "reader": "R", "atr": "", "at_monotonic_s": {at_s}, "turn": 0}}}}\n'
    reader = fake(f"next(lines); say({told!r}); time.sleep(9)\n")
    with pytest.raises(CardServiceDown):
        reader.wait_card(0)


@pytest.mark.parametrize("told", [{"reader": "R" * 131_000}, {"atr": "O" * 100_000}, {"reader": "R" * 129}])
def test_an_insertion_that_no_later_worker_could_be_told_is_none(fake: FakeWorker, told: dict[str, Any]) -> None:
    insertion = {"number": 1, "reader": "R", "atr": "", "at_monotonic_s": 1.0, "turn": 0, **told}
    said = json.dumps({"insertion": insertion}) + "\n"
    reader = fake(f"next(lines); say({said!r} if start == 1 else '{{\"insertion\": null}}\\n'); time.sleep(9)\n")
    with pytest.raises(CardServiceDown):
        reader.wait_card(0)
    assert reader.wait_card(0) is None, "a new worker was started"


def test_a_read_that_goes_on_and_on_ends_at_its_limit(fake: FakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.run.reader.TEXT_LIMIT_S", 0.8)
    reader = fake("next(lines)\nwhile True: say('{\"so_far\": null}\\n'); time.sleep(0.05)\n")
    before_s = time.monotonic()
    with pytest.raises(CardDeadline):
        reader.read([Field.CITIZEN_ID])
    assert 0.7 < time.monotonic() - before_s < 2.0


def test_an_answer_to_nobody_s_question_is_not_taken_for_the_next_one(fake: FakeWorker) -> None:
    reader = fake(
        "for line in lines:\n"
        '    say(\'{"insertion": null}\\n{"removed": true}\\n\' if start == 1 else \'{"removed": false}\\n\')\n'
    )
    assert reader.wait_card(0) is None
    with pytest.raises(CardServiceDown):
        reader.wait_removed(0)
    assert reader.wait_removed(0) is False


@pytest.mark.parametrize("words", ["\x1b[2J", "a\nb", "\u202e", "\x9b"])
@pytest.mark.parametrize("member", ["name_th", "address", "issuer", "health"])
def test_no_text_of_a_record_does_anything_to_a_terminal(member: str, words: str) -> None:
    shown = over_the_pipe(read_in_memory(ThaiCard(person(1)), ALL).as_data())
    parts = {"name_th": "first", "address": "road", "health": "main_right"}
    if member in parts:
        shown[member][parts[member]] += words
    else:
        shown[member] += words
    with pytest.raises(ValueError, match="no text of a card"):
        Record.from_data(shown)


def test_the_buttons_are_looked_at_while_a_worker_drips(fake: FakeWorker) -> None:
    reader, looks = fake("next(lines)\nwhile True: say('x'); time.sleep(0.01)\n"), list[None]()
    with pytest.raises(CardDeadline):
        reader.read([Field.CITIZEN_ID], lambda so_far: looks.append(None))
    assert len(looks) >= 2


def test_a_worker_that_does_not_listen_holds_nobody_up(fake: FakeWorker) -> None:
    reader = fake("while True: say('{\"insertion\": null}\\n'); time.sleep(0.001)\n")
    for _ in range(20):
        with suppress(CardServiceDown):
            reader.wait_card(0)


def test_a_new_worker_is_told_which_card_was_in(fake: FakeWorker, tmp_path: Path) -> None:
    insertion = Insertion(7, "Reader 00 00", b"\x3b\x00", 1.5, 42)
    told = json.dumps({"insertion": pack_insertion(insertion)}) + "\n"
    seen = tmp_path / "seen"
    reader = fake(
        f"open({str(seen)!r}, 'a').write(sys.argv[5] + '\\n'); next(lines)\n"
        f"if start == 1: say({told!r}); time.sleep(0.1); os._exit(1)\n"
        "say('{\"removed\": true}\\n' if start == 2 else '{\"insertion\": null}\\n')\n"
    )
    assert reader.wait_card(0) == insertion
    time.sleep(0.3)
    assert reader.wait_removed(0) is True
    time.sleep(0.3)
    assert reader.wait_card(0) is None
    first, second, third = seen.read_text().splitlines()
    assert (first, third) == ("", "")
    assert unpack_insertion(json.loads(second)) == insertion


def test_a_late_answer_is_not_taken_for_the_next_one(fake: FakeWorker) -> None:
    late = {"record": Record({}, (), 3).as_data()}
    reader = fake(
        f"next(lines)\nif start == 1:\n    time.sleep(0.6); say({json.dumps(late) + chr(10)!r})\n"
        "say('{\"removed\": false}\\n'); time.sleep(9)\n"
    )
    with pytest.raises(CardDeadline):
        reader.read([Field.CITIZEN_ID])
    assert reader.wait_removed(0) is False


def test_a_wait_that_never_ends_is_cut_after_its_grace(fake: FakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.run.reader.GRACE_S", 0.3)
    assert GRACE_S > 0.3
    reader = fake("next(lines); time.sleep(60)\n")
    before_s = time.monotonic()
    with pytest.raises(CardServiceDown):
        reader.wait_card(0.2)
    assert 0.4 < time.monotonic() - before_s < 1.5


def test_the_worker_gets_one_line_a_request_with_symbols_and_no_offsets(fake: FakeWorker, tmp_path: Path) -> None:
    heard, asked = tmp_path / "heard", [Field.CITIZEN_ID, Field.EXPIRY_DATE]
    reading = json.dumps({"record": Record(dict.fromkeys(asked), (), 3).as_data()})
    reader = fake(f"open({str(heard)!r}, 'w').write(next(lines)); say({reading + chr(10)!r}); time.sleep(9)\n")
    assert reader.read(asked).apdus == 3
    assert json.loads(heard.read_text()) == {"do": "read", "fields": ["citizen_id", "expiry_date"]}


def test_a_worker_that_cannot_be_started_is_a_reader_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CardServiceDown):
        WorkerReader().wait_card(0)
