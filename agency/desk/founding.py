"""Founding an agency: keys, certificates, the broker's files and an empty database.

All of it is made in a draft directory inside the home, then moved to its place: whatever fails on the way leaves the
home as it was. The keys move first, and a move never replaces keys that are there; the database moves last, so an
agency with one is whole. A draft that a power cut left is cleared by the next try.
"""

import contextlib
import getpass
import shutil
from dataclasses import dataclass
from pathlib import Path

from agency.broker.configuration import DESK_USER, LINKAGE_USER, MAX_WORKERS, Broker, ingest_user
from agency.desk.authority import Authority, KeyPair
from agency.desk.keys import new_key, public_half
from agency.home import Home, jwks_text, sync_folder, write_public, write_secret
from agency.store.database import Database
from appliance.events import strict_json
from appliance.events.agency_keys import OPTIONAL, PURPOSES

_LOCAL_HOSTS = ("localhost", "127.0.0.1")
_DRAFT = ".init"


@dataclass(frozen=True)
class Founding:
    """What the founder decides.

    Args:
        agency: agency id.
        hosts: names and addresses under which stations reach the broker; the first goes into grants.
        port: of the broker.
    """

    agency: str
    hosts: tuple[str, ...]
    port: int


def found(home: Home, founding: Founding) -> None:
    """Make the agency, all or nothing."""
    draft = Home(home.path / _DRAFT)
    with contextlib.ExitStack() as undo:
        made = [path for path in (home.path, *home.path.parents) if not path.exists()]
        for directory in reversed(made):
            directory.mkdir(mode=0o755)
            undo.callback(_remove_empty, directory)
        shutil.rmtree(draft.path, ignore_errors=True)
        undo.callback(shutil.rmtree, draft.path, ignore_errors=True)
        _make(draft, home, founding)
        for part in ("keys", "tls", "public", "broker", "agency.sqlite3"):
            (draft.path / part).rename(home.path / part)
            undo.callback(_remove, home.path / part)
        draft.path.rmdir()
        for folder in (home.path, *(one.parent for one in made)):
            sync_folder(folder)
        undo.pop_all()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(path: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else put something there meanwhile
        path.rmdir()


def _make(draft: Home, home: Home, founding: Founding) -> None:
    for directory in (draft.path, draft.keys, draft.tls, draft.broker, draft.broker / "data"):
        directory.mkdir(mode=0o700)
    draft.public.mkdir(mode=0o755)
    draft.broker.chmod(0o755)
    _make_keys(draft)
    _make_certificates(draft, founding)
    _configure_broker(draft, home, founding)
    host = founding.hosts[0] if founding.hosts else _LOCAL_HOSTS[0]
    meta = {"agency": founding.agency, "host": host, "port": str(founding.port)}
    Database.create(draft.database, meta).close()


def _make_keys(home: Home) -> None:
    public = []
    for purpose in (one for one in PURPOSES if one not in OPTIONAL):
        private = new_key(purpose)
        write_secret(home.keys / f"{purpose}.jwk", strict_json.encode(private))
        public.append(public_half(private, purpose))
    write_public(home.public / "agency.jwks", jwks_text(public))
    write_public(home.public / "stations.jwks", jwks_text([]))


def _make_certificates(home: Home, founding: Founding) -> None:
    ca = Authority.create(founding.agency)
    write_secret(home.keys / "ca.key", ca.key)
    write_public(home.public / "ca.pem", ca.certificate.decode())
    authority = Authority(ca)
    hosts = list(dict.fromkeys((*founding.hosts, *_LOCAL_HOSTS)))
    _write_pair(home, "server", authority.server(hosts))
    for user in (*(ingest_user(number) for number in range(1, MAX_WORKERS + 1)), LINKAGE_USER, DESK_USER):
        _write_pair(home, user, authority.client(user))


def _write_pair(home: Home, name: str, pair: KeyPair) -> None:
    write_secret(home.tls / f"{name}.key", pair.key)
    write_secret(home.tls / f"{name}.pem", pair.certificate)


def _configure_broker(draft: Home, home: Home, founding: Founding) -> None:
    broker = Broker(
        agency=founding.agency,
        port=founding.port,
        directory=home.broker,
        tls=home.tls,
        ca=home.public / "ca.pem",
        user=getpass.getuser(),
    )
    write_public(draft.broker / "mosquitto.conf", broker.configuration())
    write_public(draft.broker / "acl", broker.access())
