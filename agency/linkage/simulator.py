"""An honest simulator of everything the agency asks: the card-status service, records, claim codes; with faults.

It answers from what it is given and invents nobody: a number that it does not know is "not normal". For tests and a
demonstration; it listens on this machine only.
"""

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agency.clock import today

FAULTS = (
    "none", "slow", "silent", "drip", "closed", "html", "empty", "truncated", "no_code", "two_codes", "error", "fault",
    "code_1", "code_2", "code_3", "code_99", "huge", "doctype", "http_500", "http_403", "redirect", "not_utf8",
)  # fmt: skip
_SLOW_S, _DRIP_S = 30.0, 0.2

_RESULT = (
    '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope">'
    '<soap:Body><CheckCardByCIDResponse xmlns="http://tempuri.org/"><CheckCardByCIDResult>{members}'
    "</CheckCardByCIDResult></CheckCardByCIDResponse></soap:Body></soap:Envelope>"
)
_FAULT = (
    b'<?xml version="1.0"?><soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><soap:Fault>'
    b"<soap:Code><soap:Value>soap:Receiver</soap:Value></soap:Code></soap:Fault></soap:Body></soap:Envelope>"
)
_HTML = b"<!DOCTYPE html><html><body><h1>Code 0</h1></body></html>"
_BOMB = b'<!DOCTYPE x [<!ENTITY a "0"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
_CODES = {"normal": 0, "not_normal": 4, "incomplete": 5}


@dataclass
class Simulator:
    """What it knows, and what is wrong with it.

    Args:
        people: citizen number -> ``normal``, ``not_normal`` or ``incomplete``.
        fault: one of ``FAULTS``.
        token: expected as a bearer token; None for none.
    """

    people: Mapping[str, str]
    fault: str = "none"
    token: str | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)

    def reply(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Return status, content type and body of what it honestly says."""
        if path.endswith(".asmx"):
            return self._card_status(body.decode())
        try:
            content = json.loads(body)
        except ValueError:
            return 400, "application/json", b"{}"
        self.asked.append((path, content))
        if path.endswith("/confirm-save"):
            claim = self.claims.setdefault(
                content["correlationId"], {"code": f"PP{len(self.claims) + 1:010d}", **content}
            )
            return _json({"claimCode": claim["code"]})
        if path.endswith("/close"):
            if content["correlationId"] not in self.claims:
                return 404, "application/json", b"{}"
            self.claims[content["correlationId"]]["ending"] = content["ending"]
            return _json({"closed": True})
        outcome = self.people.get(content["about"]["citizen_id"], "not_normal")
        return _json({"outcome": outcome, "as_of": today()})

    def _card_status(self, body: str) -> tuple[int, str, bytes]:
        given = {name: _member(body, name) for name in ("ChipNo", "pid", "bp1no")}
        self.asked.append(("card_status", given))
        code = _CODES[self.people.get(given["pid"], "not_normal")] if all(given.values()) else 5
        members = f"<IsError>false</IsError><ErrorMessage/><Code>{code}</Code><Desc>-</Desc>"
        return 200, "application/soap+xml; charset=utf-8", _RESULT.format(members=members).encode()

    def spoil(self, status: int, kind: str, body: bytes) -> tuple[int, str, bytes]:
        """Return the reply as the fault makes it."""
        name, _, number = self.fault.partition("_")
        if name == "code" and number:
            return status, kind, _with_code(body, number)
        if name == "http":
            return int(number), kind, body
        return status, kind, _SPOILT.get(self.fault, bytes)(body)


def _with_code(body: bytes, number: str) -> bytes:
    text = re.sub(r"<Code>\d+", f"<Code>{number}", body.decode())
    return text.replace('"normal"', f'"{number}"').encode()


#: What a fault makes of a reply.
_SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "html": lambda body: _HTML,
    "empty": lambda body: b"",
    "fault": lambda body: _FAULT,
    "no_code": lambda body: re.sub(rb'<Code>\d+</Code>|"outcome": "\w+", |"claimCode": "\w+"|"closed": \w+', b"", body),
    "two_codes": lambda body: body.replace(b"<Desc>", b"<Code>0</Code><Desc>").replace(b"{", b'{"outcome": "normal", '),
    "error": lambda body: body.replace(b"<IsError>false", b"<IsError>true").replace(b"{", b'{"error": "x", '),
    "doctype": lambda body: body.replace(b"?>", b"?>" + _BOMB, 1),
    "huge": lambda body: body + b" " * 200_000,
    "not_utf8": lambda body: body.replace(b"<Desc>-", b"<Desc>\xff\xfe").replace(b"{", b"\xff{"),
}


def _json(content: dict[str, Any]) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps(content).encode()


def _member(body: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", body)
    return found[1] if found else ""


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_POST(self) -> None:
        simulator = self.server.simulator
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if simulator.token is not None and self.headers.get("Authorization") != f"Bearer {simulator.token}":
            self._send(401, "text/plain", b"")
            return
        fault = simulator.fault
        status, kind, content = simulator.spoil(*simulator.reply(self.path, body))
        if fault in ("slow", "silent"):
            self.server.is_over.wait(_SLOW_S if fault == "silent" else 0.5)
        if fault == "closed":
            return
        if fault == "redirect":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere.asmx")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(status, kind, content)

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.simulator.fault == "truncated":
            content = content[: len(content) // 2]
        if self.server.simulator.fault == "drip":
            for at in range(len(content)):
                self.wfile.write(content[at : at + 1])
                if self.server.is_over.wait(_DRIP_S):
                    return
            return
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the path is all that it would say."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, simulator: Simulator) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.simulator = simulator
        self.is_over = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of who hung up."""


@contextmanager
def serving(simulator: Simulator, port: int = 0, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Serve on this machine; give the URL.

    Args:
        simulator: what is served.
        port: 0 for any.
        certificate: certificate and key files, for TLS.
    """
    server = _Server(port, simulator)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, certificate))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.is_over.set()  # whoever is kept waiting goes with it
        server.shutdown()
        server.server_close()
