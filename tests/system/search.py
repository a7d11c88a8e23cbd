"""Looks for a person in every file of a tree, in every form in which a program might have written it."""

import base64
from pathlib import Path

from appliance.simulate.persons import Person

_ENCODINGS = ("utf-8", "tis-620", "utf-16-le", "utf-16-be")


def clear_text_of(who: Person) -> list[bytes]:
    """Return what must be found nowhere: number and names, in each encoding, also as hex, base64 and JSON escapes."""
    words = [who.citizen_id, *_names(who.name_th), *_names(who.name_en)]
    forms = [word.encode(encoding) for word in words for encoding in _ENCODINGS]
    hexes = [form.hex().encode() for form in forms]
    escapes = [word.encode("unicode_escape") for word in words]
    return [*forms, *hexes, *escapes, *(part for form in forms for part in _base64_forms(form))]


def _names(text: str) -> list[str]:
    _, first, _, last = text.split("#")
    return [first, last]


def _base64_forms(data: bytes) -> list[bytes]:
    """Return the part of the base64 text that does not depend on what stands before and after, for all alignments."""
    forms = []
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + data)
        start = -(-shift * 4 // 3)
        forms.append(text[start : (shift + len(data)) * 4 // 3])
    return forms


def find_in_tree(folder: Path, needles: list[bytes]) -> list[str]:
    """Return the files below ``folder`` that hold any of ``needles``."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(needle in content for needle in needles):
                found.append(str(path.relative_to(folder)))
    return found
