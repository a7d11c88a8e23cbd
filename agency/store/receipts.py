"""The newest receipt of each chain, as signed: what the agency has promised, in words that no editor of rows writes."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select

from agency.store.chains import ChainKey
from agency.store.database import Connection
from agency.store.tables import receipt


@dataclass(frozen=True)
class KeptReceipt:
    """A receipt that left.

    Args:
        chain: ULID.
        kid: the event key that owns the chain.
        jws: the receipt as signed.
    """

    chain: str
    kid: str
    jws: str


def keep_receipts(connection: Connection, signed: Mapping[ChainKey, str]) -> None:
    """Keep receipts in the place of those before."""
    if not signed:
        return
    own = (receipt.c.chain == bindparam("of_chain")) & (receipt.c.kid == bindparam("of_key"))
    connection.execute(delete(receipt).where(own), [{"of_chain": key.id, "of_key": key.kid} for key in signed])
    rows = [{"chain": key.id, "kid": key.kid, "jws": jws} for key, jws in signed.items()]
    connection.execute(insert(receipt), rows)


def kept_receipts(connection: Connection) -> list[KeptReceipt]:
    """Return every receipt that is kept, by chain."""
    return [KeptReceipt(*row) for row in connection.execute(select(receipt).order_by(receipt.c.chain, receipt.c.kid))]
