"""Commands about the service profiles, for those who must answer for them: what is read, checked, kept, how long.

``service list --format markdown`` is the table of ``docs/services.md``; ``service show ID --format markdown`` is a
draft of that service's entry in the record of processing (PDPA section 39), for a data-protection officer to finish.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from appliance.commands.call import Call, words
from appliance.errors import WrongUse

if TYPE_CHECKING:
    from appliance.cards.thai_id import Field
    from appliance.services.profile import Profile

_COLUMNS = ("service", "fields read", "APDUs", "bytes", "level", "presses", "cards", "event type")
_BASIS = {"public_task": "public task (section 24 (4))", "legal_duty": "legal duty (section 24 (6))"}


def list_(call: Call) -> int:
    """List the service profiles: those of the software, and above them those that the agency signed."""
    profiles = call.services()
    if call.options.format == "markdown":
        lines = table(profiles)
        call.show({"markdown": "\n".join(lines)}, lines)
        return 0
    lines = [f"{one.id:24} {one.version:>3}  {one.title.th} / {one.title.en}{_origin(one)}" for one in profiles]
    call.show([one.as_data() for one in profiles], lines)
    return 0


def _origin(profile: "Profile") -> str:
    from appliance.services.catalogue import Catalogue

    shipped = Catalogue.of_software().profiles.get(profile.id)
    return "" if shipped == profile else "  (signed by the agency)"


def show(call: Call) -> int:
    """Show one profile and exactly which bytes of the card it may read."""
    from appliance.settings_file import suggestion

    known = {profile.id: profile for profile in call.services()}
    if call.options.id not in known:
        near = suggestion(call.options.id, known)
        raise WrongUse(f"there is no service {call.options.id!r}{near}; 'card-station service list' shows all")
    profile = known[call.options.id]
    whole = {**profile.as_data(), "card_bytes": card_bytes(profile.card.read)}
    if profile.second is not None:
        whole["second_card_bytes"] = card_bytes(profile.second.read)
    if call.options.format == "markdown":
        page = list(processing(profile))
        call.show({"markdown": "\n".join(page)}, page)
        return 0
    call.show(whole, (f"{name}: {words(value)}" for name, value in whole.items() if value is not None))
    return 0


def card_bytes(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return where on the card each field stands: applet, offset and size in bytes."""
    return [
        {"field": one.symbol, "applet": one.applet.value.hex(), "offset": one.offset, "size_bytes": one.size_bytes}
        for one in _fields(names)
    ]


def table(profiles: "Sequence[Profile]") -> list[str]:
    """Return the services as a table of Markdown; APDUs are counted at a virtual card without a photo's length."""
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_row, profiles)]
    return [f"| {' | '.join(row)} |" for row in rows]


def apdus(names: Sequence[str]) -> int:
    """Return how many commands a card of T=0 sees when these fields are read: GET RESPONSE counts."""
    from appliance.run.slot_reader import SlotReader
    from appliance.simulate.card import ThaiCard
    from appliance.simulate.persons import person
    from appliance.simulate.slot import InMemorySlot

    slot, card, fields = InMemorySlot(), ThaiCard(person(1)), _fields(names)
    slot.insert(card)
    SlotReader(slot, fields).read(fields)
    return len(card.log)


def _fields(names: Sequence[str]) -> "list[Field]":
    from appliance.cards.thai_id import Field

    return [Field.named(name) for name in names]


def _row(profile: "Profile") -> tuple[str, ...]:
    reads = [profile.card.read, *([profile.second.read] if profile.second else [])]
    presses = 1 if profile.choices.offered() and profile.choices.default.value == "ask" else 0
    return (
        f"`{profile.id}`",
        "; ".join(", ".join(names) for names in reads),
        " + ".join(str(apdus(names)) for names in reads),
        " + ".join(str(sum(one.size_bytes for one in _fields(names))) for names in reads),
        profile.level,
        str(presses),
        ", ".join(_cards(profile)),
        f"`{profile.event_type}`",
    )


def _cards(profile: "Profile") -> Iterator[str]:
    if profile.vouch is None:
        yield "person" if profile.second is None else "guardian"
    if profile.second is not None:
        yield profile.second.role.value
    if profile.approve or profile.vouch:
        yield "officer"


def processing(profile: "Profile") -> Iterator[str]:
    """Return one service's entry for the record of processing, as Markdown."""
    yield f"# {profile.title.en} ({profile.title.th})"
    yield ""
    yield "Draft for the record of processing; the agency adds the controller, its officer and the recipients."
    yield ""
    yield from _facts(profile)
    yield ""
    yield from _bytes_read("Read of the card", profile.card.read, profile.record.sealed)
    if profile.second is not None:
        title = f"Read of the second card ({profile.second.role.value})"
        yield from _bytes_read(title, profile.second.read, profile.second.sealed)
    yield "## Checked"
    yield ""
    for key in ("required", "advisory"):
        yield f"- {key}: {', '.join(getattr(profile.checks, key)) or 'none'}"
    yield ""
    yield "No check proves that the card is genuine or that its holder is its owner."
    if profile.inferred:
        yield ""
        yield f"Our inference, no published rule of the agency: {', '.join(profile.inferred)}."


def _facts(profile: "Profile") -> Iterator[str]:
    days = profile.retention.station_after_receipt_days
    yield f"- service: `{profile.id}`, version {profile.version}, SHA-256 `{profile.sha256}`"
    yield f"- purpose: {profile.purpose.en} / {profile.purpose.th}"
    yield f"- ground: {_BASIS[profile.purpose.basis.value]}"
    yield f"- data subjects: {_subjects(profile)}"
    yield f"- kept in clear: service, time, verdict, checks, choice, officer's handle, as `{profile.event_type}`"
    yield f"- kept sealed: {', '.join(profile.record.sealed) or 'nothing'}; only the agency can open it"
    yield f"- on the station: the sealed part until {days} days after the agency's receipt"
    if profile.online is not None:
        meaning = "is recorded as unknown" if profile.online.on_timeout.value == "outcome_unknown" else "is amber"
        asked = profile.online.question.value
        yield f"- sent to the agency while the card is in: a sealed `{asked}` question; without an answer it {meaning}"
    if profile.card.never:
        yield f"- never read: {', '.join(profile.card.never)}"


def _subjects(profile: "Profile") -> str:
    subject = profile.subject
    if profile.vouch is not None:
        return "the officer who vouches; of the person vouched for nothing is read"
    ages = "" if (subject.min_age, subject.max_age) == (0, 150) else f", {subject.min_age} to {subject.max_age} years"
    sex = "" if subject.sex.value == "any" else f", {subject.sex.value}"
    return f"holders of a number of the kinds {', '.join(subject.numbers)}{ages}{sex}"


def _bytes_read(title: str, names: Sequence[str], sealed: Sequence[str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield "| field | applet | offset | bytes | kept |"
    yield "| --- | --- | --- | --- | --- |"
    for one in _fields(names):
        kept = "sealed" if one.symbol in sealed else "no"
        applet = one.applet.value.hex() or "card manager"
        yield f"| {one.symbol} | {applet} | 0x{one.offset:04X} | {one.size_bytes} | {kept} |"
    yield ""
