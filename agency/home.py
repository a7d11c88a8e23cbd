"""The agency's directory: where each file lies, and the two ways of writing one (for all to read, or for us alone).

::

    keys/    PURPOSE.jwk (events.agency_keys) ca.key                    0700, files 0600
             PURPOSE-KID.jwk (of before)  PURPOSE.next.jwk (not yet pushed)
    tls/     server, agency-ingest, -linkage, -desk: .pem and .key     0700, files 0600
    public/  agency.jwks stations.jwks ca.pem                          what a verifier needs, no secret
    broker/  mosquitto.conf acl data/
    agency.sqlite3
    linkage.toml                                                       whom the agency asks (linkage.configuration)
    agency.reach                                                       how far the database had come
    agency.heads                                                       likewise, chain by chain, at the last audit
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import ConfigError, VerificationError
from appliance.events import strict_json
from appliance.events.sign import Jwk, thumbprint

DEFAULT_HOME = "/var/lib/card-agency"


@dataclass(frozen=True)
class Home:
    """The directory of one agency.

    Args:
        path: absolute.
    """

    path: Path

    @classmethod
    def find(cls, chosen: str | None, environment: Mapping[str, str]) -> "Home":
        """Return the chosen home, else ``$CARD_AGENCY_HOME``, else ``/var/lib/card-agency``."""
        return cls(Path(chosen or environment.get("CARD_AGENCY_HOME") or DEFAULT_HOME).absolute())

    @property
    def keys(self) -> Path:
        """Return the directory of private keys."""
        return self.path / "keys"

    @property
    def tls(self) -> Path:
        """Return the directory of the agency's own certificates and their keys."""
        return self.path / "tls"

    @property
    def public(self) -> Path:
        """Return the directory of public documents."""
        return self.path / "public"

    @property
    def broker(self) -> Path:
        """Return the directory of the broker's configuration and data."""
        return self.path / "broker"

    @property
    def database(self) -> Path:
        """Return the database file."""
        return self.path / "agency.sqlite3"

    @property
    def witness(self) -> Path:
        """Return the file that says how far the database had come; never restored together with it."""
        return self.path / "agency.reach"

    @property
    def heads(self) -> Path:
        """Return the signed file that says what an audit found held."""
        return self.path / "agency.heads"

    @property
    def linkage(self) -> Path:
        """Return the file that says whom the agency asks."""
        return self.path / "linkage.toml"

    def require(self) -> None:
        """Check that an agency lives here.

        Raises:
            ConfigError: there is none.
        """
        if not self.database.is_file():
            raise ConfigError([f"no agency in {self.path}: run 'card-agency init', or name its --home"])

    def is_taken(self) -> bool:
        """Say whether anything of an agency lies here already."""
        return any(part.exists() for part in (self.keys, self.tls, self.public, self.broker, self.database))

    def key(self, name: str) -> Jwk:
        """Return one private key, by its name without ``.jwk``.

        Raises:
            ConfigError: the file is away, unreadable, or holds no key.
        """
        return _read_key(self.keys / f"{name}.jwk")

    def private_keys(self, purpose: str) -> dict[str, Jwk]:
        """Return the private keys of a purpose that are on this machine, old ones and the next one too, by kid."""
        paths = [self.keys / f"{purpose}.jwk", *self.keys.glob(f"{purpose}[-.]*.jwk")]
        return {str(key["kid"]): key for key in (_read_key(path) for path in paths if path.exists())}

    def opening_keys(self) -> dict[str, Jwk]:
        """Return every key on this machine that opens seals, by kid.

        Raises:
            ConfigError: there is none.
        """
        keys = {**self.private_keys("duty"), **self.private_keys("escrow")}
        if not keys:
            raise ConfigError([f"no duty or escrow key in {self.keys}: bring one back for this command"])
        return keys

    def public_keys(self) -> list[Jwk]:
        """Return every public key of the agency, those too that are superseded or retired."""
        return read_jwks(self.public / "agency.jwks")

    def ca(self) -> bytes:
        """Return the certificate of the agency's authority, PEM.

        Raises:
            ConfigError: the file is away or unreadable.
        """
        path = self.public / "ca.pem"
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigError([f"cannot read {path}: {error.strerror}; bring it back for this command"]) from None

    def keys_in_force(self) -> list[Jwk]:
        """Return the public keys that stations are to use: to verify by, and to seal to."""
        return [key for key in self.public_keys() if "state" not in key]


def read_jwks(path: Path) -> list[Jwk]:
    """Return the keys of a JWK set.

    Raises:
        ConfigError: the file is away, unreadable, or no JWK set.
    """
    keys = _read_json(path).get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) and _is_key(key) for key in keys):
        raise ConfigError([f"{path} is not a JWK set of ours: put the right file back"])
    return keys


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return strict_json.decode_object(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}"]) from None
    except VerificationError as error:
        raise ConfigError([f"{path} cannot be used, {error}: put the right file back"]) from None


def _read_key(path: Path) -> Jwk:
    key = _read_json(path)
    if not _is_key(key) or not isinstance(key.get("d"), str):
        raise ConfigError([f"{path} holds no private key: put the right file back"])
    return key


def _is_key(jwk: Jwk) -> bool:
    """Say whether a JWK is whole: its kid is the thumbprint of its public half."""
    with suppress(VerificationError, KeyError, TypeError, ValueError):
        return bool(jwk.get("kid") == thumbprint({n: v for n, v in jwk.items() if n not in ("kid", "d")}))
    return False


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have an error say which file it is of: a full disk does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, whole or not at all; fails where it exists."""
    _settle(path, content, 0o600, path.hardlink_to)


def write_public(path: Path, content: str) -> None:
    """Write or replace a file that all may read; a reader sees the old or the new one, never half."""
    _settle(path, content.encode(), 0o644, lambda draft: draft.replace(path))


def write_private(path: Path, content: str) -> None:
    """Write or replace a file that only its owner may read, whoever could read the old one."""
    _settle(path, content.encode(), 0o600, lambda draft: draft.replace(path))


def _settle(path: Path, content: bytes, mode: int, place: Callable[[Path], object]) -> None:
    """Write a draft and give it its name; on return both are on the disk: a key may be published the next moment."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # never into a file that somebody else may have open
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with _named(draft), os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        place(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force the names in ``folder`` to the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def jwks_text(keys: list[Jwk]) -> str:
    """Return a JWK set as published."""
    return json.dumps({"keys": keys}, indent=1, ensure_ascii=False) + "\n"
