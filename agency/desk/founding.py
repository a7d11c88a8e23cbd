"""Founding an agency: keys, certificates, the broker's files and an empty database, in a fresh directory."""

import getpass
from dataclasses import dataclass

from agency.broker.configuration import DESK_USER, INGEST_USER, Broker
from agency.desk.authority import Authority, KeyPair
from agency.home import Home, jwks_text, write_public, write_secret
from agency.store.database import Database
from appliance.events import strict_json
from appliance.events.seal import generate_sealing_key, public_sealing_key
from appliance.events.sign import Signer

_LOCAL_HOSTS = ("localhost", "127.0.0.1")


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
    """Make the agency. The database comes last: an agency with one is whole."""
    for directory in (home.path, home.public, home.broker):
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for directory in (home.keys, home.tls, home.broker / "data"):
        directory.mkdir(mode=0o700)
    _make_keys(home)
    _make_certificates(home, founding)
    _configure_broker(home, founding)
    host = founding.hosts[0] if founding.hosts else _LOCAL_HOSTS[0]
    meta = {"agency": founding.agency, "host": host, "port": str(founding.port)}
    Database.create(home.database, meta).close()


def _make_keys(home: Home) -> None:
    public = []
    for purpose in ("receipt", "document"):
        signer = Signer.generate()
        write_secret(home.keys / f"{purpose}.jwk", strict_json.encode(signer.private()))
        public.append(signer.public(purpose))
    for purpose in ("duty", "escrow"):
        key = generate_sealing_key()
        write_secret(home.keys / f"{purpose}.jwk", strict_json.encode(key))
        public.append(public_sealing_key(key, purpose))
    write_public(home.public / "agency.jwks", jwks_text(public))
    write_public(home.public / "stations.jwks", jwks_text([]))


def _make_certificates(home: Home, founding: Founding) -> None:
    ca = Authority.create(founding.agency)
    write_secret(home.keys / "ca.key", ca.key)
    write_public(home.public / "ca.pem", ca.certificate.decode())
    authority = Authority(ca)
    hosts = list(dict.fromkeys((*founding.hosts, *_LOCAL_HOSTS)))
    _write_pair(home, "server", authority.server(hosts))
    for user in (INGEST_USER, DESK_USER):
        _write_pair(home, user, authority.client(user))


def _write_pair(home: Home, name: str, pair: KeyPair) -> None:
    write_secret(home.tls / f"{name}.key", pair.key)
    write_secret(home.tls / f"{name}.pem", pair.certificate)


def _configure_broker(home: Home, founding: Founding) -> None:
    broker = Broker(
        agency=founding.agency,
        port=founding.port,
        directory=home.broker,
        tls=home.tls,
        ca=home.public / "ca.pem",
        user=getpass.getuser(),
    )
    write_public(home.broker / "mosquitto.conf", broker.configuration())
    write_public(home.broker / "acl", broker.access())
