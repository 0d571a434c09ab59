"""Objects with conditional writes, in a folder or on S3: `contract` says what a store promises."""

from graft.store.address import identity
from graft.store.contract import Damaged, Missing, Store, Stored, StoreError
from graft.store.folder import LocalStore

__all__ = ["Damaged", "LocalStore", "Missing", "Store", "StoreError", "Stored", "identity", "open_store"]


def open_store(registry: str) -> Store:
    """The store of a registry's address, `s3://bucket/prefix` or a folder. Touches nothing yet."""
    if registry.startswith("s3://"):
        from graft.store.s3 import S3Store

        return S3Store(registry)
    return LocalStore(registry)
