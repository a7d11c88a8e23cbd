"""The menu's pages: how the station stands, in words and codes, for whoever looks after it. Nothing of a citizen.

Each page is a title and two lines, made of what ``card-station status`` prints too. What is not known is ``-``.
"""

from collections.abc import Mapping
from typing import Any

from appliance.panel.screens import Label

Page = tuple[Label, Label, Label]

_STATES = {
    "ready": ("พร้อมใช้งาน", "Ready"),
    "degraded": ("ใช้งานได้ไม่ครบ", "Degraded"),
}
_QUALITIES = {
    "synchronised": ("ตรงกับเวลามาตรฐาน", "Synchronised"),
    "unsure": ("เวลาไม่แน่นอน", "Not sure"),
    "simulated": ("เวลาจำลอง", "Simulated"),
}
_HASH_SHOWN = 10  # of 43; enough to compare with 'card-agency service list'
_UNKNOWN = "-"


def pages(status: Mapping[str, Any], station: str) -> tuple[Page, ...]:
    """Return the pages.

    Args:
        status: as ``Outbox.status`` returns it.
        station: its id.
    """
    service, clock = status.get("service") or {}, status.get("clock") or {}
    waiting, receipt = status.get("backlog") or {}, status.get("last_receipt") or {}
    state = "frozen" if status.get("frozen") else str(status.get("state", _UNKNOWN))
    return (
        (
            _both("สถานะ", "Status"),
            _word({**_STATES, "frozen": ("คิวหยุด", "Queue is frozen")}, state),
            _part("เครื่องอ่าน", "Reader", status.get("reader")),
        ),
        (
            _both("การส่งข้อมูล", "Delivery"),
            _both(f"รอส่ง {waiting.get('count', 0)}", f"Waiting {waiting.get('count', 0)}"),
            _both(f"จาก {_time(waiting.get('oldest'))}", f"Since {_time(waiting.get('oldest'))}"),
        ),
        (
            _both("ใบรับล่าสุด", "Last receipt"),
            _same(f"#{receipt['through']}" if receipt else _UNKNOWN),
            _same(_time(receipt.get("received_at"))),
        ),
        (
            _both("นาฬิกา", "Clock"),
            _word(_QUALITIES, str(clock.get("quality", _UNKNOWN))),
            _part("จอ", "Panel", status.get("panel")),
        ),
        (
            _both("บริการ", "Service"),
            _same(str(service.get("id", _UNKNOWN))),
            _same(f"{service.get('version', _UNKNOWN)} {str(service.get('sha256', _UNKNOWN))[:_HASH_SHOWN]}"),
        ),
        (
            _both("เครื่องนี้", "This station"),
            _same(station or _UNKNOWN),
            _both(f"รุ่น {_software(status)}", f"Version {_software(status)}"),
        ),
    )


def _both(th: str, en: str) -> Label:
    return Label("", th, en)


def _same(words: str) -> Label:
    return Label("", words, words)


def _word(known: Mapping[str, tuple[str, str]], word: str) -> Label:
    return _both(*known.get(word, (word, word)))


def _part(th: str, en: str, state: object) -> Label:
    """Return how a part is: fine, not there, or not as it should be."""
    words = {"ok": ("ปกติ", "ok"), "none": ("ไม่มี", "none")}.get(str(state), ("ใช้ไม่ได้", "failed"))
    return _both(f"{th} {words[0]}", f"{en} {words[1]}")


def _software(status: Mapping[str, Any]) -> str:
    return str((status.get("versions") or {}).get("software", _UNKNOWN))


def _time(text: object) -> str:
    """Return day, month, hour and minute of an RFC 3339 time, as it stands there: ``23/11 07:42``."""
    words = str(text or "")
    return f"{words[8:10]}/{words[5:7]} {words[11:16]}" if len(words) >= len("2026-11-23T07:42") else _UNKNOWN
