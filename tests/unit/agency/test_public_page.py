"""T-72: anybody asks whether the visit whose number the panel showed is recorded; yes or no, the service, the day."""

import http.client
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from agency.commands.receipts import _look
from agency.public.page import Page
from agency.public.visit_check import Limiter, Shown
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import DAY, MORNING, Pupil, visits

RIGHT = {"station": "bkk-001", "number": "3", "day": DAY, "time": "07:42"}


@pytest.fixture
def page(office: Office) -> Iterator[Page]:
    office.take(*visits(office.station, 3))

    def look(shown: Shown) -> str | None:
        return _look(office.desk.home, office.database, shown)

    with Page(0, look, is_behind_proxy=True, limiter=Limiter(each=20, all_=60)) as served:
        threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
        yield served
        served.shutdown()


def ask(page: Page, body: bytes | str = b"", address: str = "198.51.100.7", **headers: str) -> tuple[int, str]:
    line = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=5)
    line.request("POST", "/", body, {"X-Forwarded-For": f"203.0.113.1, {address}", **headers})
    with closing(line), line.getresponse() as response:
        return response.status, response.read().decode()


def said(text: str) -> str:
    found = re.search(r'<p class="said">(.*?)</p>', text, re.DOTALL)
    return found[1] if found else ""


def test_t72_a_visit_that_was_shown_is_recorded_with_its_service_and_day(page: Page) -> None:
    status, text = ask(page, urlencode(RIGHT))
    answer = said(text)
    assert (status, "บันทึกแล้ว · Recorded" in answer) == (200, True)
    assert re.fullmatch(r"&#10003; บันทึกแล้ว · Recorded<br>[^<]+ / [^<]+<br>2026-11-23", answer)
    assert not re.search(r"[0-9]{13}", text), "nobody is asked for a citizen number, and none is told"


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "4000"}, {"number": "1"}, {"station": "cnx-002"}, {"day": "2026-11-22"}, {"time": "07:43"},
        {"time": "00:42"}, {"number": "0"}, {"number": ""}, {"number": "-3"}, {"number": "3; DROP TABLE event"},
        {"station": "' OR 1=1 --"}, {"day": "2026-02-30"}, {"day": "20261123"}, {"time": "7:42"}, {"time": "24:00"},
        {"station": "<script>"}, {"number": "9" * 40}, {"station": "x" * 500},
    ],
)  # fmt: skip
def test_t72_whatever_was_not_shown_is_not_recorded(page: Page, wrong: dict[str, str]) -> None:
    status, text = ask(page, urlencode({**RIGHT, **wrong}))
    assert (status, "ไม่พบการบันทึกนี้" in said(text)) == (200, True)
    assert "<script>" not in text


def test_a_number_is_taken_as_the_panel_writes_it(page: Page) -> None:
    for number in ("#3", " 3 ", "0003"):
        assert "Recorded" in said(ask(page, urlencode({**RIGHT, "number": number, "station": " BKK-001 "}))[1])


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"&&&&", b"a=1" * 300, b"station=%ff%fe", b"=", b"x" * 1024, b"&a=1" * 99]
)
def test_garbage_is_answered_no(page: Page, body: bytes) -> None:
    status, text = ask(page, body)
    assert (status, "ไม่พบการบันทึกนี้" in said(text)) == (200, True)


def test_what_is_too_long_is_not_read(page: Page) -> None:
    assert ask(page, b"x" * 1025)[0] == 413
    for length in ("-1", "1e3", "9" * 30):
        with socket.create_connection(("127.0.0.1", page.server_port), 5) as line:
            line.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            assert b" 413 " in line.recv(100)


def test_t72_who_asks_a_thousand_times_is_made_to_wait_and_others_are_not(page: Page) -> None:
    statuses = [ask(page, urlencode(RIGHT))[0] for _ in range(40)]
    assert statuses == [200] * 20 + [429] * 20
    assert ask(page, urlencode(RIGHT), address="198.51.100.8")[0] == 200
    many = [ask(page, urlencode(RIGHT), address=f"198.51.100.{number}")[0] for number in range(10, 60)]
    assert many.count(200) == 60 - 21, "together they are bounded too"


def test_an_address_that_the_asker_wrote_himself_does_not_count(page: Page) -> None:
    for number in range(20):
        ask(page, urlencode(RIGHT), **{"X-Forwarded-For": f"192.0.2.{number}, 198.51.100.9"})
    assert ask(page, urlencode(RIGHT), address="198.51.100.9")[0] == 429


def test_the_limit_ends_with_its_minute() -> None:
    limiter = Limiter(each=2, all_=3)
    assert [limiter.takes("a", now_s) for now_s in (0, 1, 2, 60, 61)] == [True, True, False, True, True]
    assert [limiter.takes(name, 62) for name in ("b", "c")] == [True, False]


def test_the_form_is_served_with_nothing_to_run_and_nothing_kept(page: Page) -> None:
    found = {}
    for path in ("/", "/admin", "/?station=bkk-001"):
        line = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=5)
        line.request("GET", path)
        with closing(line):
            response = line.getresponse()
            text = response.read().decode()
        found[path] = response.status
        assert said(text) == ""
        assert "<script" not in text
        assert "default-src 'none'" in str(response.getheader("Content-Security-Policy"))
        assert (response.getheader("Cache-Control"), response.getheader("Set-Cookie")) == ("no-store", None)
    assert found == {"/": 200, "/admin": 404, "/?station=bkk-001": 404}, "nothing of a visit stands in a URL"


def test_who_says_nothing_holds_nobody_up(page: Page) -> None:
    idle = [socket.create_connection(("127.0.0.1", page.server_port)) for _ in range(30)]
    begun_s = time.monotonic()
    assert ask(page, urlencode(RIGHT))[0] == 200
    assert time.monotonic() - begun_s < 3
    for one in idle:
        one.close()


def test_a_database_that_fails_is_said_without_a_reason(office: Office, page: Page) -> None:
    with sqlite3.connect(office.desk.home.database) as connection:
        connection.execute("UPDATE event SET time = 'x'")
    status, text = ask(page, urlencode(RIGHT))
    assert (status, "ตรวจสอบไม่ได้ในขณะนี้" in said(text)) == (503, True)


def test_the_command_says_the_same(office: Office) -> None:
    station = office.station
    office.take(*visits(station, 3), station.visit(Pupil.make(9), at=MORNING + timedelta(minutes=5)))
    run = office.desk.run
    assert run("receipt", "check", "bkk-001", "5", "--date", DAY, "--time", "07:47").code == 0
    assert run("receipt", "check", "bkk-001", "5", "--date", DAY, "--time", "07:42").code == 1
    told = run("receipt", "check", "bkk-001", "#5", "--date", DAY, "--time", "07:47", "--json").json()
    assert (told["recorded"], told["day"]) == (True, DAY)
    assert run("receipt", "check", "bkk-001", "x", "--date", DAY, "--time", "07:47").code == 2


def test_shown_is_what_a_panel_can_have_shown() -> None:
    assert Shown.read("bkk-001", "1042", DAY, "07:42") == Shown("bkk-001", 1042, DAY, "07:42")
    assert Shown.read("bkk 001", "1042", DAY, "07:42") is None
