"""Finding a version in a registry, and saying what there is when it is not there."""

import secrets

from graft.errors import GraftError, did_you_mean
from graft.registry import log, manifest
from graft.registry.address import CHAMPION, LATEST, Address
from graft.registry.manifest import Manifest, to_json
from graft.store import Damaged, Missing, Store, StoreError

MARKER = "registry.json"            # says that this is a registry, and is what the store's promises are tried on


def find_number(store: Store, address: Address, last: log.Entry) -> int:
    """The version that an address means after the log's entry `last`; whether it is there is not asked.

    Without an alias that is the champion, or the newest version of a model that was never promoted.

    Raises:
        GraftError: when it means none; the message lists what there is.
    """
    number = address.number if address.number is not None else last.version_of(address.alias or CHAMPION)
    if number is not None:
        return number
    there = _numbers(store, address.name)
    if address.alias == LATEST or is_unpromoted(address, last):
        return there[-1]
    raise GraftError(
        f"{store.address}/{address.name} has no alias '{address.alias or CHAMPION}'."
        + did_you_mean(address.alias or CHAMPION, last.aliases) + aliases_there_are(last) + _versions(there)
    )


def is_unpromoted(address: Address, last: log.Entry) -> bool:
    """Whether an address means the newest version only because nothing was ever promoted."""
    return address.number is None and address.alias in (None, CHAMPION) and last.number == 0


def no_such_model(store: Store, name: str) -> GraftError:
    """The error for a model that is not there."""
    names = store.folders("models/")
    if not names:
        return GraftError(f"there is no model at {store.address}: it is no registry, or nothing was published there. "
                          "Name another with GRAFT_REGISTRY or in front of the model, as in s3://bucket/prefix/NAME.")
    hint = did_you_mean(name, names)
    return GraftError(f"{store.address} has no model '{name}'.{hint} There are: {', '.join(names)}.")


def aliases_there_are(last: log.Entry) -> str:
    aliases = [f"{alias} (version {each['version']})" for alias, each in sorted(last.aliases.items())]
    return f" Its aliases are: {', '.join(aliases)}." if aliases else " It has no aliases."


def _numbers(store: Store, name: str) -> list[int]:
    there = manifest.numbers(store, name)
    if not there:
        raise no_such_model(store, name)
    return there


def _versions(there: list[int]) -> str:
    shown = [*there] if len(there) <= 10 else [there[0], "…", *there[-8:]]
    return f" Its versions are: {', '.join(map(str, shown))}."


def read_version(store: Store, name: str, number: int, digest: str | None = None) -> Manifest:
    """A version's manifest, which must have this digest when one is known.

    Raises:
        GraftError: when there is no such version; the message lists what there is.
        Damaged: when it is another one than was promoted or seen before.
    """
    try:
        found = manifest.read(store, name, number)
    except Missing:
        gone = f"no version {number} any more" if digest else f"no version {number}"
        raise GraftError(f"{store.address}/{name} has {gone}.{_versions(_numbers(store, name))}") from None
    if digest and found.digest != digest:
        raise Damaged(
            f"{store.address}/{manifest.key_of(name, number)} was changed: its sha256 is {found.digest}, "
            f"expected {digest}. Do not use this version; ask whoever may write to the registry."
        )
    return found


def check_promises(store: Store) -> None:
    """Try that the store refuses to replace what `create` wrote.

    Raises:
        StoreError: when it takes conditional writes and ignores the condition: there, two writers would both believe
            that they had won.
    """
    def mark() -> bool:
        text = {"what": "a registry of models", "format": 1, "nonce": secrets.token_hex(8)}
        return store.create(MARKER, to_json(text))

    if mark() and mark():       # twice: only the first of all markers may be written
        raise StoreError(
            f"registry {store.address}: this store takes conditional writes (If-None-Match) and ignores the condition, "
            "so that two writers would overwrite each other. Nothing is published or promoted here. Use a store that "
            "keeps to it, such as AWS S3 or Ceph, or a local folder; on Ceph, switch off the bucket's versioning."
        )
