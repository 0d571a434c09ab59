"""Store objects with conditional writes, in a folder or on S3. `contract` defines what every store guarantees."""

from graft.store.address import identity
from graft.store.contract import Damaged, Missing, Store, Stored, StoreError
from graft.store.folder import LocalStore

__all__ = ["Damaged", "LocalStore", "Missing", "Store", "StoreError", "Stored", "identity", "open_store"]


def open_store(address: str, what: str = "registry") -> Store:
    """The store at an address, `s3://bucket/prefix` or a folder. Nothing is read or written yet.

    Args:
        what: what is stored there, for the messages of a store on S3.

    Raises:
        StoreError: if the settings for S3 are missing or invalid.
    """
    if address.startswith("s3://"):
        from graft.store.s3 import S3Store

        return S3Store(address, what)
    return LocalStore(address)
