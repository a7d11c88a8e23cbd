"""A bundle is opened by one signature and a chain of hashes; whatever is odd about it is opened line by line."""

import random
from collections.abc import Callable

import pytest

from agency.ingest.bundle import KeyRing, Opened, open_line, open_lines
from agency.store import chains
from agency.store.stations import EventKey
from appliance.errors import VerificationError
from appliance.events.chain import Position, jws_hash
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import DOCUMENT_TYPE, EVENT_TYPE, Jwk, KeySet, MessageType
from tests.unit.agency.conftest import Office
from tests.unit.agency.fleet import Pupil, Station, visits


@pytest.fixture(scope="module")
def sealing() -> list[Jwk]:
    return [public_sealing_key(generate_sealing_key(), purpose) for purpose in ("duty", "escrow")]


def ring(*stations: Station) -> KeyRing:
    return KeyRing([EventKey(s.signer.kid, s.id, s.signer.public("event"), "", None) for s in stations])


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return every line whose own signature was looked at."""
    seen: list[str] = []
    verify = KeySet.verify

    def watched(keys: KeySet, token: str, message: MessageType, purpose: str) -> dict[str, object]:
        seen.append(token)
        return verify(keys, token, message, purpose)

    monkeypatch.setattr(KeySet, "verify", watched)
    return seen


def swapped(line: str, at: int) -> str:
    return line[:at] + ("A" if line[at] != "A" else "B") + line[at + 1 :]


def test_a_whole_bundle_costs_one_signature(sealing: list[Jwk], signatures: list[str]) -> None:
    station = Station("bkk-001", sealing)
    lines = visits(station, 12)
    opened = open_lines(lines, ring(station))
    assert signatures == [lines[-1]]
    assert [line.jws for line in opened if isinstance(line, Opened)] == lines
    assert opened == [open_line(line, ring(station)) for line in lines]


@pytest.mark.parametrize("place", ["head", "body", "signature"])
def test_a_line_that_was_altered_is_refused_and_its_neighbours_are_not(
    sealing: list[Jwk], signatures: list[str], place: str
) -> None:
    station = Station("bkk-001", sealing)
    lines = visits(station, 4)
    head, body, _ = (len(part) for part in lines[2].split("."))
    lines[2] = swapped(lines[2], {"head": 20, "body": head + 41, "signature": head + body + 22}[place])
    opened = open_lines(lines, ring(station))
    assert [isinstance(line, Opened) for line in opened] == [True, True, False, True, True]
    assert lines[4] in signatures
    assert lines[3] not in signatures  # vouched for by the last
    assert lines[1] in signatures  # nobody genuine vouches for it any more


def test_a_forged_last_line_vouches_for_nothing(sealing: list[Jwk]) -> None:
    station, forger = Station("bkk-001", sealing), Station("bkk-001", sealing)
    lines = visits(station, 2)
    forger.next = station.next
    invented = Station("bkk-001", sealing)
    opened = open_lines([invented.started(), *lines, forger.visit(Pupil.make(9))], ring(station))
    assert [isinstance(line, Opened) for line in opened] == [False, True, True, True, False]


def test_who_holds_no_key_cannot_have_a_line_vouched_for(sealing: list[Jwk]) -> None:
    """A genuine line names one hash only: that of the line which its station wrote before it."""
    station, forger = Station("bkk-001", sealing), Station("bkk-001", sealing)
    lines = visits(station, 3)
    forger.next = Position(station.next.chain, 3, jws_hash(lines[1]))
    opened = open_lines([*lines[:2], forger.visit(Pupil.make(9)), lines[3]], ring(station))
    assert [isinstance(line, Opened) for line in opened] == [True, True, False, True]


def test_another_kind_of_message_is_not_vouched_for(sealing: list[Jwk]) -> None:
    station = Station("bkk-001", sealing)
    document = station.signer.sign(station.visit_payload(Pupil.make(1)), DOCUMENT_TYPE)
    station.next = station.next.after(document)
    opened = open_lines([document, station.visit(Pupil.make(2))], ring(station))
    assert [isinstance(line, Opened) for line in opened] == [False, True]
    assert "another type of message" in str(opened[0])


@pytest.mark.parametrize("claim", [{"sequence": "0000000009"}, {"chain": "01J00000000000000000000000"}])
def test_only_the_number_before_in_the_same_chain_is_vouched_for(
    sealing: list[Jwk], signatures: list[str], claim: dict[str, str]
) -> None:
    station = Station("bkk-001", sealing)
    odd = station.signer.sign({**station.visit_payload(Pupil.make(1)), **claim}, EVENT_TYPE)
    station.next = station.next.after(odd)
    later = station.visit(Pupil.make(2))
    assert len(open_lines([odd, later], ring(station))) == 2
    assert signatures == [later, odd]


def test_a_line_of_another_key_is_opened_by_its_own_signature(sealing: list[Jwk]) -> None:
    bkk, cnx = Station("bkk-001", sealing), Station("cnx-002", sealing)
    theirs = cnx.started()
    bkk.next = Position(cnx.next.chain, 2, jws_hash(theirs))
    opened = open_lines([theirs, bkk.visit(Pupil.make(1))], ring(bkk, cnx))
    assert [line.key.station for line in opened if isinstance(line, Opened)] == ["cnx-002", "bkk-001"]


def torn(line: str) -> str:
    return line[:-30]


def alone(line: str, known: KeyRing) -> Opened | str:
    try:
        return open_line(line, known)
    except VerificationError as error:
        return str(error)


CHANGES: list[Callable[[random.Random, list[str]], None]] = [
    lambda dice, lines: dice.shuffle(lines),
    lambda dice, lines: lines.remove(dice.choice(lines)),
    lambda dice, lines: lines.insert(dice.randrange(len(lines)), dice.choice(lines)),
    lambda dice, lines: lines.insert(dice.randrange(len(lines)), "not.a.jws"),
    lambda dice, lines: lines.insert(dice.randrange(len(lines)), torn(dice.choice(lines))),
    lambda dice, lines: lines.append(swapped(lines.pop(), dice.randrange(300))),
]


@pytest.mark.parametrize("seed", range(20))
def test_a_bundle_says_the_same_as_its_lines_one_by_one(sealing: list[Jwk], seed: int) -> None:
    dice = random.Random(seed)
    stations = [Station("bkk-001", sealing), Station("cnx-002", sealing), Station("bkk-001", sealing)]
    known = ring(*stations[:2])  # the third is a forger
    lines = [line for station in stations for line in visits(station, 3)]
    for _ in range(dice.randrange(4)):
        dice.choice(CHANGES)(dice, lines)
    together = [line if isinstance(line, Opened) else str(line) for line in open_lines(lines, known)]
    assert together == [alone(line, known) for line in lines]


def test_bundles_of_one_batch_that_follow_each_other_cost_one_signature(office: Office, signatures: list[str]) -> None:
    lines = visits(office.station, 20)
    office.take_together([lines[:7], lines[7:14], lines[14:]])
    assert signatures == [lines[-1]]


def test_a_bundle_of_the_batch_that_is_no_bundle_costs_its_neighbours_nothing(
    office: Office, signatures: list[str]
) -> None:
    lines = visits(office.station, 15)
    tally = office.take_together([lines[:7], ["x"] * 33, lines[7:]])
    assert tally.outcomes == {("bkk-001", "new"): 16, ("bkk-001", "dropped"): 1}
    assert signatures == [lines[-1]]


def test_a_bundle_that_comes_twice_in_a_batch_is_opened_twice_and_counts_once(
    office: Office, signatures: list[str]
) -> None:
    lines = visits(office.station, 9)
    tally = office.take_together([lines, lines])
    assert tally.outcomes == {("bkk-001", "new"): 10, ("bkk-001", "duplicate"): 10}
    assert signatures == [lines[-1], lines[-1]]


def test_one_poisoned_event_among_500_is_set_apart_and_nothing_else(office: Office) -> None:
    station = office.station
    lines = [station.started()]
    lines += [station.poison() if number == 250 else station.visit(Pupil.make(number)) for number in range(499)]
    for at in range(0, 500, 10):
        office.take(*lines[at : at + 10])
    with office.database.read() as connection:
        (chain,) = chains.list_chains(connection)
        (apart,) = chains.list_quarantined(connection)
        rows = list(chains.chain_rows(connection, chain.key))
    assert (chain.high_water, chain.hash) == (500, jws_hash(lines[-1]))
    assert (apart.sequence, apart.code) == (252, "schema")
    assert [row.jws for row in rows] == lines


def test_a_station_that_vouches_for_a_signature_that_does_not_hold_is_found_by_the_audit(office: Office) -> None:
    """Only the key's holder can write such a line; it counts, for its station stands by it, and it is named."""
    station = office.station
    office.take(station.started())
    here = station.next
    broken = swapped(station.visit(Pupil.make(1)), -20)
    station.next = here.after(broken)
    office.take(broken, station.visit(Pupil.make(2)))
    ran = office.desk.run("audit", "--json")
    assert [(p["code"], p["place"]) for p in ran.json()["problems"]] == [("signature", f"{here.chain}/2")]
