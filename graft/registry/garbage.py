"""Removing what nobody needs any more: mark what is kept, sweep the rest.

Kept are: what an alias names (so an alias is a pin), the newest versions, what was promoted lately, and all that is
younger than any upload takes. A version is given up by an entry in the log before anything of it is removed, so that
nobody can promote it meanwhile; its number is never used again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from graft.errors import GraftError
from graft.registry import log, manifest
from graft.registry.address import check_registry, default_registry
from graft.registry.manifest import Manifest
from graft.registry.promotion import who
from graft.registry.transfer import GRACE
from graft.store import Store, Stored, open_store


@dataclass(frozen=True)
class Swept:
    """What was removed, or would be."""

    versions: list[str]         # NAME@NUMBER
    blobs: list[Stored]

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self.blobs)


def gc(registry: str | None = None, *, keep: int = 5, days: float = 90, delete: bool = False) -> Swept:
    """Remove old versions that no alias names, and files that no version needs.

    Args:
        keep: how many of each model's newest versions stay; at least 1.
        days: what an alias named within so many days stays.
        delete: really remove; otherwise only tell.

    Raises:
        GraftError: when anything that decides about keeping is damaged: then nothing is removed.
    """
    if keep < 1 or days < 0:
        raise GraftError(f"gc: keep {keep}, days {days}: expected keep of at least 1 and days of at least 0.")
    store = open_store(check_registry(registry or default_registry()))
    now = store.now()
    stored = list(store.scan("blobs/"))         # before the manifests: what is stored later is not swept
    names = store.folders("models/")
    given_up = {name: _give_up(store, name, keep, now - timedelta(days=days), now - GRACE, delete) for name in names}
    needed = {file.key for name in names for each in manifest.read_all(store, name) if each.number not in given_up[name]
              for file in each.all_files.values()}
    blobs = [each for each in stored if each.key not in needed and each.modified < now - GRACE]
    if delete:
        for each in blobs:
            _remove(store, each)
        store.sweep(now - GRACE)
    return Swept([f"{name}@{number}" for name in names for number in given_up[name]], blobs)


def _give_up(store: Store, name: str, keep: int, recent: datetime, young: datetime, delete: bool) -> list[int]:
    """The numbers of the versions that are not kept; with `delete` they are removed, the log being told first."""
    while True:
        entries, versions = log.read(store, name), manifest.read_all(store, name)
        last = entries[-1] if entries else log.Entry()
        kept = set(_marked(entries, versions, keep, recent, young))
        numbers = [each.number for each in versions if each.number in last.deleted or each.number not in kept]
        fresh = sorted(set(numbers) - set(last.deleted))
        if not delete:
            return numbers
        if not fresh or _tell(store, name, last, fresh):
            break
    for number in numbers:
        store.delete(manifest.signature_key(name, number))
        store.delete(manifest.key_of(name, number))
    if entries or fresh:
        log.write_aliases(store, name, log.head(store, name))
    return numbers


def _tell(store: Store, name: str, last: log.Entry, fresh: list[int]) -> log.Entry | None:
    reason = f"gave up version {', '.join(map(str, fresh))}"
    deleted = sorted({*last.deleted, *fresh})
    return log.append(store, name, last, action=log.DELETE, deleted=deleted, reason=reason, by=who())


def _marked(entries: list[log.Entry], versions: list[Manifest], keep: int, recent: datetime, young: datetime
            ) -> Iterator[int]:
    """The numbers of the versions that must stay."""
    if entries:
        yield from (each["version"] for each in entries[-1].aliases.values())
    yield from (each.number for each in versions[-keep:])
    for entry in entries:
        if entry.time >= recent:
            yield from (number for number in (entry.version, entry.replaced) if number)
    yield from (each.number for each in versions if datetime.fromisoformat(each.published) >= young)


def _remove(store: Store, blob: Stored) -> None:
    """Unless a publisher, who needs it after all, made it young again since it was listed."""
    now = store.stat(blob.key)
    if now and now.modified <= blob.modified:       # S3 rounds down to seconds here, and not in a listing
        store.delete(blob.key)
