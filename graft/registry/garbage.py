"""Garbage collection: mark the versions and files to keep, remove the rest.

Kept are the versions that an alias names (so an alias is a pin), the newest versions, recently promoted ones, those
that were rolled back or withdrawn (a flow recognises them by their files), and all that is younger than the longest
upload. Before a version is removed, an entry in the log marks it as deleted, so that nobody can promote it meanwhile;
its number is never used again. Before a file is removed, its key is given up: see `graft.registry.blobs`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from graft.errors import GraftError
from graft.registry import blobs, log, manifest
from graft.registry.address import CHAMPION, check_registry, default_registry
from graft.registry.lookup import MARKER, numbers_in_order
from graft.registry.manifest import Manifest
from graft.registry.promotion import replay, who
from graft.registry.transfer import GRACE
from graft.store import Store, Stored, open_store

MOST_DAYS = 36_500


@dataclass(frozen=True)
class Swept:
    """The versions and files that were removed, or would be without `delete`."""

    versions: list[str]         # NAME@NUMBER
    blobs: list[Stored]

    @property
    def size_bytes(self) -> int:
        """The size of the files together."""
        return sum(each.size_bytes for each in self.blobs)


def gc(registry: str | None = None, *, keep: int = 5, days: float = 90, delete: bool = False) -> Swept:
    """Remove old versions that no alias names, and files that no version needs.

    Args:
        registry: `s3://bucket/prefix` or a folder; by default `default_registry()`.
        keep: the number of each model's newest versions to keep, from 1.
        days: keep versions that an alias named within this number of days, from 0 to `MOST_DAYS`.
        delete: remove them; otherwise only report what would be removed.

    Raises:
        GraftError: if an argument is out of range, there is no registry, or anything that decides what to keep is
            damaged. Nothing is removed then.
    """
    if keep < 1 or not 0 <= days <= MOST_DAYS:
        raise GraftError(f"gc: expected keep of at least 1 and days from 0 to {MOST_DAYS:,}, received {keep} and "
                         f"{days:g}.")
    store = open_store(check_registry(registry or default_registry()))
    now = store.now()
    stored = list(store.scan("blobs/"))         # before the manifests: files stored later are not removed
    names = store.folders("models/")
    if not (stored or names or store.stat(MARKER)):
        raise GraftError(f"there is no registry at {store.address}. Expected the file {store.address}/{MARKER}.")
    deleted = {name: _delete(store, name, keep, now - timedelta(days=days), now - GRACE, delete) for name in names}
    kept = _needed(store, deleted) | {None}         # None: not a file
    unused = [each for each in stored if blobs.sha256_of(each.key) not in kept and each.modified < now - GRACE]
    if delete:
        _remove(store, unused)
        store.sweep(now - GRACE)
    return Swept([f"{name}@{number}" for name in names for number in deleted[name]], unused)


def _delete(store: Store, name: str, keep: int, recent: datetime, young: datetime, delete: bool) -> list[int]:
    """The numbers of the versions that are not kept. With `delete`, the log marks them, then they are removed."""
    numbers_in_order(store, name)
    while True:
        entries, versions = log.read(store, name), manifest.read_all(store, name)
        last = entries[-1] if entries else log.Entry()
        kept = set(_marked(entries, versions, keep, recent, young))
        numbers = [each.number for each in versions if each.number in last.deleted or each.number not in kept]
        fresh = sorted(set(numbers) - set(last.deleted))
        if not delete:
            return numbers
        if not fresh or _append(store, name, last, fresh):
            break
    for number in numbers:
        store.delete(manifest.signature_key(name, number))
        store.delete(manifest.key_of(name, number))
    if entries or fresh:
        log.write_aliases(store, name, log.head(store, name))
    return numbers


def _append(store: Store, name: str, last: log.Entry, fresh: list[int]) -> log.Entry | None:
    reason = f"deleted version {', '.join(map(str, fresh))}"
    deleted = sorted({*last.deleted, *fresh})
    return log.append(store, name, last, action=log.DELETE, deleted=deleted, reason=reason, by=who())


def _marked(entries: list[log.Entry], versions: list[Manifest], keep: int, recent: datetime, young: datetime
            ) -> Iterator[int]:
    """The numbers of the versions to keep."""
    if entries:
        yield from (each["version"] for each in entries[-1].aliases.values())
    yield from (each.number for each in versions[-keep:])
    yield from replay(entries, CHAMPION)[1]
    for entry in entries:
        if entry.time >= recent:
            yield from (number for number in (entry.version, entry.replaced) if number)
    yield from (each.number for each in versions if datetime.fromisoformat(each.published) >= young)


def _needed(store: Store, deleted: dict[str, list[int]]) -> set[str]:
    """The sha256 of each file of all versions, except those that were just deleted."""
    return {file.sha256 for name in store.folders("models/") for each in manifest.read_all(store, name)
            if each.number not in deleted.get(name, ()) for file in each.all_files.values()}


def _remove(store: Store, unused: list[Stored]) -> None:
    """Give files up and remove them, except those that a version needs that was published meanwhile."""
    for each in unused:
        blobs.give_up(store, each.key)
    needed = _needed(store, {})
    for each in unused:
        if blobs.sha256_of(each.key) not in needed:
            store.delete(each.key)
