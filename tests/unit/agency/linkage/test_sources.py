"""Whoever is asked, with every fault that the simulator has: nothing but a plain yes is ever "normal" (T-39)."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from agency.clock import today
from agency.desk.authority import Authority
from agency.linkage.card_status import CardStatus, code_in
from agency.linkage.claims import ClaimService, Refused
from agency.linkage.http import Endpoint, NoAnswer, NotReached
from agency.linkage.records import Records
from agency.linkage.simulator import FAULTS, Simulator, serving
from agency.linkage.source import Asked, Outcome
from tests.unit.agency.fleet import citizen_number

NORMAL, BLOCKED, INCOMPLETE, STRANGER = (citizen_number(seed) for seed in range(40, 44))
PEOPLE = {NORMAL: "normal", BLOCKED: "not_normal", INCOMPLETE: "incomplete"}
CARD = {"chip_number": "5364260c1b3033f4", "request_number": "1001-03-05151130/001"}


def asked(number: str = NORMAL, question: str = "registry_status", **about: Any) -> Asked:
    return Asked("01J" + "0" * 23, "bkk-001", question, "tdc.register", None, {"citizen_id": number, **CARD, **about})


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(PEOPLE)


@pytest.fixture
def url(simulator: Simulator) -> Iterator[str]:
    with serving(simulator) as served:
        yield served


def endpoint(url: str, path: str, timeout_s: float = 1.0) -> Endpoint:
    made = Endpoint(url + path, timeout_s)
    made.check()
    return made


def card_status(url: str) -> CardStatus:
    return CardStatus(endpoint(url, "/CheckCardService.asmx"))


def records(url: str) -> Records:
    return Records(endpoint(url, "/records"), 31)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(NORMAL, "normal"), (BLOCKED, "not_normal"), (INCOMPLETE, "incomplete"), (STRANGER, "not_normal")],
)
def test_the_card_status_service_and_the_records_are_understood(url: str, number: str, outcome: str) -> None:
    for source, name in ((card_status(url), "card-status"), (records(url), "records")):
        said = source.answer(asked(number))
        assert (said.outcome.value, said.source) == (outcome, name)


def test_the_service_gets_what_the_chip_gives_and_no_more(url: str, simulator: Simulator) -> None:
    card_status(url).answer(asked(chip_number="a&b<c>"))
    assert simulator.asked == [
        ("card_status", {"ChipNo": "a&amp;b&lt;c&gt;", "pid": NORMAL, "bp1no": "10010305151130"})
    ]


@pytest.mark.parametrize("lacking", ["chip_number", "request_number", "citizen_id"])
def test_a_card_without_what_the_service_needs_is_incomplete_and_nobody_is_asked(
    url: str, simulator: Simulator, lacking: str
) -> None:
    for nothing in (None, ""):
        bare = asked()
        bare = replace(bare, about={**bare.about, lacking: nothing})
        assert card_status(url).answer(bare).outcome is Outcome.INCOMPLETE
    assert simulator.asked == []


#: Fault -> what may be said under it. Of the others: what is not heard is unavailable, what is not understood unknown.
UNHEARD = {"silent", "drip", "closed", "truncated", "huge"}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("none", "slow")])
@pytest.mark.parametrize("source", [card_status, records])
def test_no_fault_is_ever_a_yes(url: str, simulator: Simulator, fault: str, source: Any) -> None:
    simulator.fault = fault
    begun_s = time.monotonic()
    said = source(url).answer(asked())
    assert time.monotonic() - begun_s < 3, "its time is bounded, whatever comes"
    is_of_soap = fault in ("doctype", "fault") and source is records
    expected = Outcome.UNAVAILABLE if fault in UNHEARD else Outcome.UNKNOWN
    assert said.outcome is expected or (is_of_soap and said.outcome is not Outcome.NOT_NORMAL)
    if not is_of_soap:
        assert said.outcome is not Outcome.NORMAL


def test_slow_is_heard_where_there_is_time(url: str, simulator: Simulator) -> None:
    simulator.fault = "slow"
    assert card_status(url).answer(asked()).outcome is Outcome.NORMAL
    quick = CardStatus(Endpoint(url + "/CheckCardService.asmx", 0.2))
    assert quick.answer(asked()).outcome is Outcome.UNAVAILABLE


def test_nobody_there_is_unavailable() -> None:
    for source in (
        CardStatus(Endpoint("http://127.0.0.1:9/x.asmx", 0.5)),
        Records(Endpoint("http://127.0.0.1:9", 0.5), 31),
    ):
        assert source.answer(asked()).outcome is Outcome.UNAVAILABLE


WHOLE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><CheckCardByCIDResponse'
    ' xmlns="http://tempuri.org/"><CheckCardByCIDResult><IsError>false</IsError><Code>0</Code></CheckCardByCIDResult>'
    "</CheckCardByCIDResponse></s:Body></s:Envelope>"
)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("", "", "0"),
        (">0<", "> 0\n<", "0"),
        (">0<", ">00<", "00"),
        (">0<", "><", ""),
        ("<Code>0</Code>", "", None),
        ("<Code>0</Code>", "<Code>4</Code><Code>0</Code>", None),
        ("<IsError>false</IsError>", "", None),
        ("false", "true", None),
        ("false", "FALSE", None),
        ("http://tempuri.org/", "http://elsewhere/", None),
        ("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/", None),
        ("CheckCardByCIDResult", "CheckCardByLaserResult", None),
        ("<s:Envelope", "<!DOCTYPE x><s:Envelope", None),
        ("</s:Envelope>", "", None),
        ("<Code>0", "<Code>0<b>4</b>", None),
        ("<Code>0", "<Code>0<b/>", None),
        ("<Code>", "<Desc><Code>4</Code></Desc><Code>", None),
        ("<Code>", "<Desc>none</Desc><Code>", "0"),
        ("<Code>", "<Code nil='true'>", None),
        ("<IsError>", "<IsError nil='true'>", None),
        ("<Code>", "<Desc nil='true'/><Code>", "0"),
        ("<Code>0</Code>", "<Code xmlns=''>0</Code>", None),
        ("<Code>", "<Code xmlns=''>4</Code><Code>", None),
        ("<Code>", "4<Code>", None),
        (">0<", ">\u00a00<", "\u00a00"),
        ("<s:Body>", "<s:Body/><s:Body>", None),
        ("<s:Body>", "<s:Header/><s:Body>", None),
        ("<s:Body>", "<s:Body s:encodingStyle='x'>", None),
        ("<s:Body>", "<s:Body><s:Fault/>", None),
        ("</s:Body>", "<Other/></s:Body>", None),
        ("<s:Body>", "0<s:Body>", None),
        ("</CheckCardByCIDResult>", "</CheckCardByCIDResult><CheckCardByCIDResult/>", None),
        ("<s:Envelope", "<?xml version='1.0' encoding='utf-16'?><s:Envelope", "0"),
        ("<s:Envelope", "<!-- <!DOCTYPE x> --><s:Envelope", "0"),
        (">0<", "><![CDATA[0]]><", "0"),
        ("<s:Envelope", "<!DOCTYPE x [<!ENTITY a '0'>]><s:Envelope", None),
    ],
)
def test_what_counts_as_a_code(old: str, new: str, code: str | None) -> None:
    assert code_in(WHOLE.replace(old, new).encode()) == code


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"0", b"<Code>0</Code>", b"\x00" * 100, b'<?xml version="1.0" encoding="x"?><a/>']
)
def test_what_is_no_answer_has_no_code(body: bytes) -> None:
    assert code_in(body) is None


def test_no_encoding_and_no_depth_lets_anything_by() -> None:
    with_entities = f'<!DOCTYPE x [<!ENTITY a "0">]>{WHOLE}'.replace(">0<", ">&a;<")
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-7"):
        assert code_in(with_entities.encode(encoding)) is None
    assert code_in(b"<a>" * 20_000) is None
    assert code_in(b"<a>" * 8_000 + b"</a>" * 8_000) is None


@pytest.mark.parametrize(
    "body",
    [
        '{"outcome": "normal"}',
        '{"outcome": "normal", "as_of": null}',
        '{"outcome": "normal", "as_of": "2026-02-30"}',
        '{"outcome": "normal", "as_of": "2999-01-01"}',
        '{"outcome": "normal", "as_of": "20261101"}',
        '{"outcome": "NORMAL", "as_of": "2026-11-01"}',
        '{"outcome": ["normal"], "as_of": "2026-11-01"}',
        '{"outcome": "unavailable", "as_of": "2026-11-01"}',
        '{"outcome": "not_normal", "outcome": "normal", "as_of": "2026-11-01"}',
        '{"outcome": "normal", "as_of": "2026-11-01", "more": 1}',
        '["normal"]',
        "",
    ],
)
def test_records_that_say_anything_else_say_nothing(
    url: str, simulator: Simulator, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "reply", lambda path, content: (200, "application/json", body.encode()))
    assert records(url).answer(asked()).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("age_days", "outcome"), [(0, "normal"), (31, "normal"), (32, "unknown"), (9999, "unknown")])
def test_records_of_too_long_ago_say_nothing(
    url: str, simulator: Simulator, age_days: int, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = (date.fromisoformat(today()) - timedelta(days=age_days)).isoformat()
    body = f'{{"outcome": "normal", "as_of": "{day}"}}'.encode()
    monkeypatch.setattr(simulator, "reply", lambda *_: (200, "application/json", body))
    assert records(url).answer(asked()).outcome.value == outcome


def test_a_token_is_sent_and_a_wrong_one_is_no_yes(url: str, simulator: Simulator) -> None:
    simulator.token = "a-token"
    assert records(url).answer(asked()).outcome is Outcome.UNKNOWN
    good = Records(Endpoint(url + "/records", 1.0, None, {"Authorization": "Bearer a-token"}), 31)
    assert good.answer(asked()).outcome is Outcome.NORMAL


@pytest.fixture
def certified(tmp_path: Path) -> dict[str, Path]:
    files = {}
    for name, host in (("good", "127.0.0.1"), ("other", "elsewhere.example")):
        ca = Authority.create(name)
        pair = Authority(ca).server([host])
        for end, content in (("ca", ca.certificate), ("pem", pair.certificate), ("key", pair.key)):
            files[f"{name}.{end}"] = tmp_path / f"{name}.{end}"
            files[f"{name}.{end}"].write_bytes(content)
    return files


def test_tls_is_checked_for_its_issuer_and_its_name(simulator: Simulator, certified: dict[str, Path]) -> None:
    for served, trusted, outcome in (
        ("good", certified["good.ca"], Outcome.NORMAL),
        ("good", certified["other.ca"], Outcome.UNAVAILABLE),
        ("good", None, Outcome.UNAVAILABLE),
        ("other", certified["other.ca"], Outcome.UNAVAILABLE),
    ):
        with serving(simulator, certificate=(certified[f"{served}.pem"], certified[f"{served}.key"])) as url:
            found = Records(Endpoint(url + "/records", 1.0, trusted), 31).answer(asked())
            assert found.outcome is outcome, (served, trusted)
    assert len(simulator.asked) == 1, "what is of a citizen leaves over a connection that is trusted, or not at all"


CLAIM = ("10670", "PG0060001")


def test_a_claim_service_gives_a_code_once_and_takes_the_end(url: str, simulator: Simulator) -> None:
    service = ClaimService(endpoint(url, "/claims"), *CLAIM)
    opened = asked(question="visit_open")
    assert service.open(opened) == service.open(opened) == "PP0000000001"
    service.close(asked(question="visit_close"), opened.id, "confirm")
    assert simulator.claims[opened.id]["ending"] == "confirm"
    with pytest.raises(Refused):
        service.close(asked(question="visit_close"), "another", "confirm")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("http_403", NotReached),
        ("http_500", NoAnswer),
        ("silent", NoAnswer),
        ("closed", NoAnswer),
        ("truncated", NoAnswer),
        ("no_code", NoAnswer),
        ("html", NoAnswer),
        ("huge", NoAnswer),
    ],
)
def test_of_a_claim_nobody_knows_unless_it_was_refused(
    url: str, simulator: Simulator, fault: str, error: type[Exception]
) -> None:
    simulator.fault = fault
    service = ClaimService(endpoint(url, "/claims"), *CLAIM)
    with pytest.raises(error):
        service.open(asked(question="visit_open"))
    with pytest.raises(error):
        service.close(asked(question="visit_close"), asked().id, "confirm")


def test_a_claim_service_that_is_not_there_wrote_nothing() -> None:
    with pytest.raises(NotReached):
        ClaimService(Endpoint("http://127.0.0.1:9", 0.5), *CLAIM).open(asked(question="visit_open"))
