"""Pull a version into a folder on this machine, and check every byte of it before anything is read from it."""

from dataclasses import dataclass, replace
from pathlib import Path

from graft.errors import GraftError
from graft.model.bundle import FORMATS
from graft.registry import log
from graft.registry.address import CHAMPION, LATEST, Address, parse
from graft.registry.cache import Cache, Seen
from graft.registry.copies import replace_folder
from graft.registry.folder import build, is_whole, read_folder
from graft.registry.lookup import find_number, is_unpromoted, read_version
from graft.registry.manifest import MANIFEST, SIGNATURE, File, Manifest
from graft.registry.signing import read_signature, require_signature
from graft.store import Damaged, Store, open_store


@dataclass(frozen=True)
class Pulled:
    """A version on this machine.

    Attributes:
        folder: the bundle's folder; its `manifest.json` describes the version's origin.
        name: the model's name.
        version: the version's number, from 1.
        transferred_bytes: the number of bytes fetched; 0 if all files were already on this machine.
        note: a message for the user, or the empty string.
    """

    folder: Path
    name: str
    version: int
    transferred_bytes: int
    note: str = ""


def pull(model: str, to: str | Path | None = None, *, registry: str | None = None, offline: bool = False,
         attachments: bool = False, public_key: str | Path | None = None, format: str | None = None) -> Pulled:
    """Fetch a published version into the user's cache, and check every byte of it.

        pulled = graft.pull("s3://bucket/models/pets@champion", to="pets")

    Files that are already on this machine are checked and not fetched again. If anything is wrong, nothing changes:
    versions that were pulled before stay as they are.

    Args:
        model: `NAME`, `NAME@ALIAS` or `NAME@NUMBER`, optionally as `REGISTRY/NAME…`. A name alone means the champion,
            or the newest version of a model that was never promoted.
        to: also copy the version to this folder, replacing a version that was pulled to it. A folder that holds
            anything else is refused.
        registry: the registry of an address that does not include one; by default the environment variable
            GRAFT_REGISTRY, otherwise the folder `registry`.
        offline: use the version that an earlier pull fetched, after checking it, without asking the registry.
        attachments: also fetch the version's attachments, such as its report, metrics and parameters.
        format: fetch the model in this export format only, one of `graft.model.bundle.FORMATS`; by default in all.
        public_key: a PEM file; a version that was not signed with the matching private key is refused. By default the
            environment variable GRAFT_PUBLIC_KEY; without it, signatures are not read.

    Raises:
        Damaged: if anything in the registry is not as it was written, or is older than what this machine saw before.
        GraftError: if there is no such version, or the registry cannot be used.
    """
    address = parse(model, registry)
    cache = Cache(address)
    with cache.locked():
        seen = cache.load()
        if offline:
            pulled, files = _from_cache(address, cache, seen, (attachments, format), public_key)
        else:
            pulled, files = _from_registry(address, cache, seen, (attachments, format), public_key)
        return pulled if to is None else replace(pulled, folder=replace_folder(pulled.folder, Path(to), files))


def _wanted(version: Manifest, attachments: bool, format: str | None) -> dict[str, File]:
    """Path in the folder -> file, of the files to fetch. Raises `GraftError` if the version lacks the format."""
    files = version.all_files if attachments else version.files
    if format is None:
        return files
    there = [each for each, names in FORMATS.items() if names[0] in version.files]
    if format not in there:
        raise GraftError(f"{version.name}@{version.number} was not published as {format}. "
                         f"Available formats: {', '.join(there)}.")
    others = {name for each, names in FORMATS.items() if each != format for name in names}
    return {name: file for name, file in files.items() if name not in others}


def _from_registry(
    address: Address, cache: Cache, seen: Seen, wanted: tuple[bool, str | None], public_key: str | Path | None,
) -> tuple[Pulled, dict[str, File]]:
    store = open_store(address.registry)
    last = _newest(store, seen, cache.folder)
    number = find_number(store, address, last)
    version = read_version(store, address.name, number, _known_digest(number, last, seen))
    texts = {MANIFEST: version.data, SIGNATURE: read_signature(store, version)}
    require_signature(version, texts[SIGNATURE], public_key)
    files = _wanted(version, *wanted)
    transferred = build(cache.version(number), store, files, texts, cache.incoming)
    unpromoted = is_unpromoted(address, last)
    seen.last, seen.manifests[str(number)] = last, version.digest
    seen.latest = number if unpromoted or address.alias == LATEST else seen.latest
    cache.save(seen)
    note = f"{address.name} was never promoted: this is its newest version." if unpromoted else ""
    return Pulled(cache.version(number), address.name, number, transferred, note), files


def _from_cache(
    address: Address, cache: Cache, seen: Seen, wanted: tuple[bool, str | None], public_key: str | Path | None,
) -> tuple[Pulled, dict[str, File]]:
    number = address.number if address.number is not None else seen.last.version_of(address.alias or CHAMPION)
    if number is None and (address.alias == LATEST or is_unpromoted(address, seen.last)):
        number = seen.latest
    folder = cache.version(number or 0)
    if number is None or str(number) not in seen.manifests or not folder.exists():
        raise GraftError(f"{address} was never pulled to this machine. Pull it once without --offline.")
    version = read_folder(folder, address.name, number, seen.manifests[str(number)])
    files = _wanted(version, *wanted)
    if not is_whole(folder, files):
        raise Damaged(f"{folder} has changed since it was pulled. Pull {address} again without --offline.")
    signature = folder / SIGNATURE
    require_signature(version, signature.read_bytes() if signature.exists() else None, public_key)
    return Pulled(folder, address.name, number, 0), files


def _newest(store: Store, seen: Seen, forget: Path) -> log.Entry:
    """The newest entry of the log, which must be the last one seen or follow from it.

    Raises:
        Damaged: if the registry shows an older state than before, or another history.
    """
    entries = log.read(store, seen.name, since=max(1, seen.last.number))
    if seen.last.number == 0:
        return entries[-1] if entries else log.Entry()
    if not entries or entries[0].digest != seen.last.digest:
        what = "a different" if entries else "no"
        raise Damaged(
            f"{store.address}: the promotion log of {seen.name} has {what} entry {seen.last.number}, which this "
            "machine saw before: an old state is being replayed, or the log was rewritten. Nothing was pulled. "
            f"If the registry was recreated on purpose, remove {forget}."
        )
    return entries[-1]


def _known_digest(number: int, last: log.Entry, seen: Seen) -> str | None:
    """The manifest's sha256 according to the log or an earlier pull."""
    promoted = [each["manifest"] for each in last.aliases.values() if each["version"] == number]
    return promoted[0] if promoted else seen.manifests.get(str(number))
