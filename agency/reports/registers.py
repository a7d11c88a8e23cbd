"""What the agency keeps beside the events: who may sign, and who belongs. Each against something that an editor of rows
does not write: the published keys, the signed documents, the seals.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from agency.desk.authority import Issued
from agency.desk.enrolment import stations_jwks
from agency.desk.opening import OpeningKeys
from agency.desk.rosters import is_as_imported, member_context, open_member
from agency.reports.problems import Problem
from agency.store.database import Connection
from agency.store.documents import list_documents
from agency.store.rosters import StoredRoster, list_rosters, sealed_members, signed_imports
from agency.store.stations import event_keys, list_certificates
from appliance.errors import VerificationError
from appliance.events.sign import DOCUMENT_TYPE, Jwk, KeySet

PUBLISHED = "public/stations.jwks"


def audit_keys(connection: Connection, published: list[Jwk]) -> Iterator[Problem]:
    """Yield the event keys that differ from those in ``stations.jwks``."""
    held = dict(zip((key.kid for key in event_keys(connection)), stations_jwks(connection), strict=True))
    outside = {str(key.get("kid")): key for key in published}
    for kid in sorted({*held, *outside}):
        if held.get(kid) != outside.get(kid):
            station = str((held.get(kid) or outside[kid]).get("station"))
            words = f"key {kid} differs from the one in the store; the next 'station approve' or 'revoke' writes it"
            yield Problem("key", station, PUBLISHED, words)


def audit_certificates(connection: Connection, ca: bytes) -> Iterator[Problem]:
    """Yield the certificates that are not of the authority with this certificate (PEM), or differ from their rows."""
    for held in list_certificates(connection):
        place = f"certificate {held.serial}"
        try:
            issued = Issued.read(held.pem, ca)
        except VerificationError as error:
            yield Problem("key", str(held.station), place, str(error))
            continue
        if issued != Issued(held.serial, held.station, held.not_after):
            yield Problem("key", str(held.station), place, "its row differs from what was issued")


def audit_rosters(
    connection: Connection, keys: OpeningKeys, public: KeySet, counts: Counter[str], progress: Callable[[int], None]
) -> Iterator[Problem]:
    """Yield the rosters whose members or digests are not those that were imported."""
    signed, imports = dict(_signed_bodies(connection, public)), signed_imports(connection)
    for roster in list_rosters(connection):
        counts["rosters"] += 1
        place = f"{roster.set}/{roster.version}"
        if (roster.set, roster.as_of) != (roster.body.get("set"), roster.body.get("as_of")):
            yield Problem("roster", "", place, "its set or date is not that of its digests")
        if not is_as_imported(connection, roster.version, imports.get(roster.version), public):
            yield Problem("roster", "", place, "is not what was signed at its import")
        if signed.get(roster.version, roster.body) != roster.body:
            yield Problem("roster", "", place, "its digests are not those of the document that was signed for it")
        faults = [fault for fault in _members(connection, roster, keys, counts, progress) if fault]
        if faults:
            yield Problem("roster", "", place, f"{len(faults)} members are not as they were imported: {faults[0]}")


def _signed_bodies(connection: Connection, public: KeySet) -> Iterator[tuple[int, object]]:
    for document in list_documents(connection):
        if document.roster is not None:
            try:
                yield document.roster, public.verify(document.jws, DOCUMENT_TYPE, "document")["body"]
            except VerificationError:
                continue  # the audit of the documents tells of it


def _members(
    connection: Connection,
    roster: StoredRoster,
    keys: OpeningKeys,
    counts: Counter[str],
    progress: Callable[[int], None],
) -> Iterator[str]:
    indices = []
    for index, sealed in sealed_members(connection, roster.version):
        indices.append(index)
        counts["members"] += 1
        progress(counts["members"])
        recipients = sealed.get("recipients", []) if isinstance(sealed, dict) else []
        if recipients and not any(one.get("header", {}).get("kid") in keys for one in recipients):
            counts["seals_not_opened"] += 1
            continue
        try:
            open_member(sealed, member_context(roster.set, roster.version, index), keys)
        except (VerificationError, AttributeError, TypeError) as error:
            yield f"number {index}: {error}"
    if indices != list(range(len(indices))) or len(indices) != roster.people:
        yield f"{len(indices)} are held, {roster.people} were imported"
