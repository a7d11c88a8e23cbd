"""The command that reads the card that is in (contract 4)."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import TYPE_CHECKING, Any

from appliance.commands.call import Call
from appliance.errors import NoCard, NoReader, OutputError, WrongUse

if TYPE_CHECKING:
    from appliance.cards.record import Record
    from appliance.cards.thai_id import Field
    from appliance.config import Reader
    from appliance.ports import CardReader, Insertion

SCHEMA = "card-record/1"
SETS = ("cid", "text", "photo", "all")

_LOOK_S = 0.5
_SAY_AFTER_S = 1.5
_SAY_EVERY_S = 5.0

_FAILED = {
    "checksum": "the citizen number is none, or its check digit is wrong",
    "dates": "a date does not exist",
    "consistency": "the dates contradict each other",
}


def read(call: Call) -> int:
    """Read the card that is in and print its record."""
    from appliance.cards.thai_id import Field
    from appliance.run.core_dumps import forbid_core_dumps
    from appliance.run.reader import WorkerReader

    forbid_core_dumps()
    is_verbose = call.log_if_verbose("read")
    fields = _fields(call.options.fields)
    photo = None if call.options.photo is None else _photo_file(call.options.photo)
    if photo is not None and Field.PHOTO not in fields:
        raise WrongUse("--photo needs the photo: --fields photo, or all")
    settings = _reader_settings(call)
    name = settings.name if call.options.reader is None else call.options.reader
    with closing(WorkerReader(name, settings.allow, fields, is_quiet=not is_verbose)) as reader:
        insertion = _wait_card(reader, call.options.wait)
        began_s = time.monotonic()
        record = reader.read(fields, _Progress(len(fields)))
    data = _shown(insertion, record, time.monotonic() - began_s)
    call.show(data, _lines(data))
    if photo is not None and record.photo is not None:
        _save(photo, record.photo.jpeg)
    return _end(record, is_photo_missing=photo is not None and record.photo is None)


def _shown(insertion: "Insertion", record: "Record", duration_s: float) -> dict[str, Any]:
    head = {"schema": SCHEMA, "atr": insertion.atr.hex().upper(), "reader": insertion.reader, "apdus": record.apdus}
    return {**head, "duration_ms": round(duration_s * 1000), **record.as_data()}


def _fields(name: str) -> "Sequence[Field]":
    from appliance.cards import thai_id

    return {"cid": thai_id.CID, "text": thai_id.TEXT, "photo": thai_id.WITH_PHOTO, "all": thai_id.ALL}[name]


def _photo_file(name: str) -> Path:
    """Return where the photo goes. Raises WrongUse where that is no place for a new file, before any card is read."""
    path = Path(name)
    if not name or name == "-" or path.is_dir() or not path.parent.is_dir():
        raise WrongUse(f"--photo {name!r}: name a file in a folder that exists")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise WrongUse(f"--photo {name!r}: it is there and no regular file")
    try:
        with TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise WrongUse(f"--photo {name!r}: no file can be made there: {error.strerror}") from None


def _save(path: Path, jpeg: bytes) -> None:
    from appliance.link.durable_file import SECRET_MODE, write

    try:
        write(path, jpeg, SECRET_MODE)
    except OSError as error:
        raise OutputError(f"--photo {str(path)!r}: the photo could not be saved: {error.strerror}") from None


def _reader_settings(call: Call) -> "Reader":
    """Return the reader that the settings name; any reader where there is no settings file and none is asked for."""
    from appliance.config import DEFAULT_PATH, Reader

    if call.config_path == DEFAULT_PATH and not DEFAULT_PATH.exists():
        return Reader()
    return call.settings().reader


def _wait_card(reader: "CardReader", wait_s: float) -> "Insertion":
    """Return the card that is in, or that is put in within ``wait_s``.

    Raises:
        NoCard: none was.
        ReaderUnavailable: there is no reader to wait at.
    """
    end_s, say_at_s = time.monotonic() + wait_s, time.monotonic() + _SAY_AFTER_S
    while True:
        left_s = max(end_s - time.monotonic(), 0)
        missing: NoReader | NoCard = NoCard(f"no card within {wait_s:g} s")
        try:
            with _said_after(_LOOK_S + _SAY_AFTER_S, "pcscd takes its time"):
                if (insertion := reader.wait_card(min(left_s, _LOOK_S))) is not None:
                    return insertion
        except NoReader as error:
            missing = error
        if left_s == 0:
            raise missing
        if time.monotonic() > say_at_s and left_s > 1:
            say_at_s = time.monotonic() + _SAY_EVERY_S
            _say(f"waiting for a {'reader' if isinstance(missing, NoReader) else 'card'}, {left_s:.0f} s more")


@contextmanager
def _said_after(patience_s: float, words: str) -> Iterator[None]:
    """Say ``words`` once where what is inside takes longer."""
    timer = Timer(patience_s, _say, [words])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Progress:
    """Tells how far a slow read is.

    Args:
        wanted: number of fields that were asked for.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._say_at_s = time.monotonic() + _SAY_AFTER_S
        self._there = 0

    def __call__(self, so_far: "Record | None") -> None:
        self._there = self._there if so_far is None else len(so_far.values)
        if time.monotonic() > self._say_at_s:
            self._say_at_s = time.monotonic() + _SAY_EVERY_S
            _say(f"reading: {self._there} of {self._wanted} fields are there; leave the card in")


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    for name, value in data.items():
        if name != "problems":
            yield f"{name:16} {_words(value)}".rstrip()
    for problem in data["problems"]:
        yield f"{'problem':16} {problem['field']}: {problem['code']}"


def _words(value: Any) -> str:
    if not isinstance(value, dict):
        return "-" if value is None else str(value)
    if "precision" in value:
        return str(value["value"] or value["precision"])
    if "base64" in value:
        return f"{value['media_type']}, {value['size_bytes']} bytes, SHA-256 {value['sha256']}"
    if "full" in value:
        return str(value["full"])
    return ", ".join(f"{name} {_words(part)}" for name, part in value.items())


def _end(record: "Record", *, is_photo_missing: bool) -> int:
    """Say in one line what is wrong with what was read; return the exit code."""
    wrong = [words for check, words in _FAILED.items() if record.checks[check] == "fail"]
    if is_photo_missing:
        wrong.append("there is no photo to save")
    told = [*wrong, "look at the card, and at the person"] if wrong else []
    if record.problems:
        told.append(", ".join(sorted({f"{problem.field}: {problem.code}" for problem in record.problems})))
    if told:
        _say("; ".join(told))
    return 1 if wrong else 0


def _say(words: str) -> None:
    with suppress(OSError):  # where nobody can be told, the exit code still tells
        sys.stderr.write(f"card-station: {words}\n")
