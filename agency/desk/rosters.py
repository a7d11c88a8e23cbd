"""Rosters at the desk: sealed members and digests made of an imported list, and members opened again for a report."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agency.desk.opening import OpeningKeys, open_with
from agency.desk.people import MEMBER, Person
from agency.store.database import Connection
from agency.store.rosters import put_import, roster_digest
from appliance.errors import VerificationError
from appliance.events.roster import roster_body
from appliance.events.seal import seal
from appliance.events.sign import Jwk, KeySet, MessageType, Signer

IMPORT_TYPE = MessageType("card-roster-import+jws")


def member_context(set_id: str, version: int, index: int) -> str:
    """Return what binds a member's seal to its place."""
    return f"roster|{set_id}|{version}|{index}"


@dataclass(frozen=True)
class Import:
    """A set to be imported.

    Args:
        set: id of the set.
        version: of the roster.
        as_of: date of the data.
        people: its members.
    """

    set: str
    version: int
    as_of: str
    people: Sequence[Person]


def seal_members(new: Import, recipients: Sequence[Jwk]) -> Iterator[dict[str, Any]]:
    """Yield each member, sealed."""
    for index, person in enumerate(new.people):
        fields = dict(vars(person))
        yield seal(fields, recipients, member_context(new.set, new.version, index))


def digest_members(new: Import, progress: Callable[[int], None]) -> dict[str, Any]:
    """Return the body of the roster document: digests, which take about 50 ms a person and core.

    Who has no Thai number has no digest either; an officer vouches for that person.
    """
    members = [person.citizen_id for person in new.people if person.is_member and person.citizen_id]
    officers = [person.citizen_id for person in new.people if person.is_officer]
    return roster_body(new.set, new.as_of, members, progress, officers)


def sign_import(connection: Connection, version: int, signer: Signer) -> None:
    """Sign a roster as it was imported: whoever writes into the database can make seals, and no signature."""
    said = {"version": version, "sha256": roster_digest(connection, version)}
    put_import(connection, version, signer.sign(said, IMPORT_TYPE))


def is_as_imported(connection: Connection, version: int, jws: str | None, keys: KeySet) -> bool:
    """Say whether a roster is what was signed at its import."""
    try:
        said = keys.verify(jws or "", IMPORT_TYPE, "document")
    except VerificationError:
        return False
    return said == {"version": version, "sha256": roster_digest(connection, version)}


def open_member(sealed: dict[str, Any], context: str, keys: OpeningKeys) -> Person:
    """Open one member with whichever duty or escrow key it is sealed to.

    Raises:
        VerificationError: altered, moved, or sealed to others.
    """
    try:
        fields = open_with(sealed, keys, context)
        return Person(fields["citizen_id"], fields["member"], fields["name"], fields.get("role", MEMBER))
    except (LookupError, TypeError, AttributeError):
        raise VerificationError("a sealed member is none, or lacks a field") from None
