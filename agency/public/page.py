"""The page on which anybody asks: a form, and yes or no. Thai and English, no script, no cookie, nothing kept.

It listens on this machine; a web server in front of it does TLS and says in ``X-Forwarded-For`` who asks.
"""

import html
import logging
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from agency.public.visit_check import Limiter, Shown

_MAX_BODY_BYTES = 1024
_PATIENCE_S = 5.0
_MOST_AT_ONCE = 64
_FIELDS = ("station", "number", "day", "time")

_PAGE = """<!DOCTYPE html><html lang="th"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ตรวจสอบการบันทึก · Is my visit recorded?</title>
<style>body{{font:1.2rem sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}}
label{{display:block;margin:1rem 0}}input{{font:inherit;width:100%;box-sizing:border-box}}
button{{font:inherit;padding:.5rem 1.5rem}}
.said{{border:3px solid;padding:1rem;margin:1rem 0}}</style>
<h1>ตรวจสอบการบันทึก<br>Is my visit recorded?</h1>{said}
<form method="post" action="">
<label>รหัสเครื่อง (ติดอยู่บนเครื่อง) · Station (on the box)<input name="station" maxlength="63" required></label>
<label>เลขที่บนจอ เช่น #1042 · Number on the screen<input name="number" maxlength="11" required></label>
<label>วันที่ · Day<input name="day" type="date" required></label>
<label>เวลาบนจอ · Time on the screen<input name="time" type="time" required></label>
<button>ตรวจสอบ · Ask</button></form>
<p>ไม่ต้องใช้เลขประจำตัวประชาชน · No citizen number is needed.</p></html>
"""
_YES = '<p class="said">&#10003; บันทึกแล้ว · Recorded<br>{service}<br>{day}</p>'
_NO = '<p class="said">&#10007; ไม่พบการบันทึกนี้ · No such visit is recorded</p>'
_SOON = '<p class="said">ถามบ่อยเกินไป รอหนึ่งนาที · Too many questions: wait a minute</p>'
_SORRY = '<p class="said">ตรวจสอบไม่ได้ในขณะนี้ · This cannot be told now</p>'

_log = logging.getLogger(__name__)

#: Returns the title of the service of a recorded visit, None where there is none.
Look = Callable[[Shown], str | None]


class Page(ThreadingHTTPServer):
    """Serves the page.

    Args:
        port: 0 for any.
        look: looks a visit up.
        is_behind_proxy: believe the last address in ``X-Forwarded-For``.
        limiter: how often somebody may ask.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, look: Look, is_behind_proxy: bool, limiter: Limiter | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.look, self.is_behind_proxy = look, is_behind_proxy
        self._limiter, self._changed = limiter or Limiter(), threading.Lock()
        self._room = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def may_ask(self, address: str) -> bool:
        """Count a question."""
        with self._changed:
            return self._limiter.takes(address, time.monotonic())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection where there is room; else hang up."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who hung up."""


class _Handler(BaseHTTPRequestHandler):
    server: Page
    timeout = _PATIENCE_S
    server_version, sys_version = "card-agency", ""

    def do_GET(self) -> None:
        self._send(200 if self.path == "/" else 404, "")

    def do_POST(self) -> None:
        if not self.server.may_ask(self._address()):
            self._send(429, _SOON)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _MAX_BODY_BYTES:
            self._send(413, _NO)
            return
        shown = _shown(self.rfile.read(int(length)))
        try:
            service = self.server.look(shown) if shown is not None else None
        except Exception as error:  # noqa: BLE001 - the database; a citizen is told nothing of it
            _log.error("a visit cannot be looked up: %s", type(error).__name__)
            self._send(503, _SORRY)
            return
        day = shown.day if shown is not None else ""
        self._send(200, _YES.format(service=html.escape(service), day=day) if service is not None else _NO)

    def _address(self) -> str:
        forwarded = self.headers.get("X-Forwarded-For", "") if self.server.is_behind_proxy else ""
        return forwarded.rpartition(",")[2].strip()[:64] or str(self.client_address[0])

    def _send(self, status: int, said: str) -> None:
        content = _PAGE.format(said=said).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: who asks, and what, is nobody's business."""


def _shown(body: bytes) -> Shown | None:
    """Return what a form says; None where it says nothing that a panel shows."""
    try:
        given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    except ValueError:
        return None
    return Shown.read(*(given.get(name, [""])[0] for name in _FIELDS))
