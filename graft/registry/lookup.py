"""Find a version in a registry. If there is none, the error lists the models, versions and aliases that exist."""

import secrets

from graft.errors import GraftError, did_you_mean
from graft.registry import log, manifest
from graft.registry.address import CHAMPION, LATEST, Address
from graft.registry.manifest import Manifest, to_json
from graft.store import Damaged, Missing, Store, StoreError

MARKER = "registry.json"            # marks a registry; `check_promises` tests the store with it


def find_number(store: Store, address: Address, last: log.Entry) -> int:
    """The number of the version that an address means; whether that version exists is not checked.

    Without a number and an alias it is the champion, or the newest version of a model that was never promoted.

    Args:
        last: the newest entry of the model's log.

    Raises:
        GraftError: if the address means no version; lists the aliases and versions that exist.
    """
    number = address.number if address.number is not None else last.version_of(address.alias or CHAMPION)
    if number is not None:
        return number
    means_newest = address.alias == LATEST or is_unpromoted(address, last)
    if means_newest and (numbers := numbers_in_order(store, address.name)):
        return numbers[-1]
    numbers = _numbers(store, address.name)
    raise GraftError(
        f"{store.address}/{address.name} has no alias '{address.alias or CHAMPION}'."
        + did_you_mean(address.alias or CHAMPION, last.aliases) + list_aliases(last) + _list_versions(numbers)
    )


def numbers_in_order(store: Store, name: str) -> list[int]:
    """The numbers of all versions, in ascending order: each follows the one before, except those that `gc` has deleted.

    Raises:
        Damaged: if a number is missing. Publishers count from 1, so a version was lost, or the later ones were not made
            by Graft: they would count as the newest.
    """
    for _ in range(2):          # a listing of a folder may miss a version that is just written, but show a later one
        numbers = manifest.numbers(store, name)
        deleted = log.head(store, name).deleted         # read later: `gc` marks a version before it removes it
        if (gap := first_gap(numbers, deleted)) is None:
            return numbers
    raise Damaged(
        f"{store.address}: {name} has no version {gap}, but it has version {numbers[-1]}. Either version {gap} was "
        "lost, or Graft did not write the later ones. If so, remove "
        f"{store.address}/{manifest.key_of(name, numbers[-1])}; `graft verify` reports everything that is wrong."
    )


def first_gap(numbers: list[int], deleted: list[int]) -> int | None:
    """The first number that is neither there nor deleted although a later one is there; None if there is none."""
    known = {*numbers, *deleted}
    return next((each for each in range(1, max(numbers, default=0)) if each not in known), None)


def is_unpromoted(address: Address, last: log.Entry) -> bool:
    """Whether an address means the newest version because the model was never promoted."""
    return address.number is None and address.alias in (None, CHAMPION) and last.number == 0


def no_such_model(store: Store, name: str) -> GraftError:
    """The error for a model that does not exist; lists the models that do."""
    names = store.folders("models/")
    if not names:
        return GraftError(f"there is no model {store.address}/{name}: the registry is empty or does not exist. To use "
                          "another one, set GRAFT_REGISTRY or write an address such as s3://bucket/prefix/NAME.")
    hint = did_you_mean(name, names)
    return GraftError(f"{store.address} has no model '{name}'.{hint} Its models are: {', '.join(names)}.")


def list_aliases(last: log.Entry) -> str:
    """The aliases after the entry `last`, as a sentence for an error message."""
    aliases = [f"{alias} (version {each['version']})" for alias, each in sorted(last.aliases.items())]
    return f" Its aliases are: {', '.join(aliases)}." if aliases else " It has no aliases."


def _numbers(store: Store, name: str) -> list[int]:
    numbers = manifest.numbers(store, name)
    if not numbers:
        raise no_such_model(store, name)
    return numbers


def _list_versions(numbers: list[int]) -> str:
    shown = [*numbers] if len(numbers) <= 10 else [numbers[0], "…", *numbers[-8:]]
    return f" Its versions are: {', '.join(map(str, shown))}."


def read_version(store: Store, name: str, number: int, digest: str | None = None) -> Manifest:
    """Read a version's manifest.

    Args:
        digest: the sha256 that the manifest had when it was promoted or seen before; None if unknown.

    Raises:
        GraftError: if there is no such version; lists the versions that exist.
        Damaged: if the manifest is damaged or has another digest.
    """
    try:
        found = manifest.read(store, name, number)
    except Missing:
        missing = f"no longer has version {number}" if digest else f"has no version {number}"
        raise GraftError(f"{store.address}/{name} {missing}.{_list_versions(_numbers(store, name))}") from None
    if digest and found.digest != digest:
        raise Damaged(
            f"{store.address}/{manifest.key_of(name, number)} was changed: its sha256 is {found.digest}, "
            f"expected {digest}. Do not use this version; ask those who have write access to the registry."
        )
    return found


def check_promises(store: Store) -> None:
    """Test that the store's `create` refuses to replace an object.

    Raises:
        StoreError: if the store accepts conditional writes but ignores the condition, so that two concurrent writers
            would both succeed.
    """
    def mark() -> bool:
        content = {"what": "a registry of models", "format": 1, "nonce": secrets.token_hex(8)}
        return store.create(MARKER, to_json(content))

    if mark() and mark():       # in a new registry the first call succeeds; the second one must not
        raise StoreError(
            f"registry {store.address}: this store accepts conditional writes (If-None-Match) but ignores the "
            "condition, so two writers would overwrite each other. Nothing was published or promoted. Use a store that "
            "supports them, such as AWS S3 or Ceph, or a local folder; on Ceph, turn off versioning of the bucket."
        )
