"""Verify a whole registry: read everything and report what is not as it was written."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from graft.errors import GraftError
from graft.machine.threads import InThreads
from graft.registry import blobs, log, manifest
from graft.registry.address import NAME_PATTERN, check_registry, default_registry
from graft.registry.lookup import MARKER, first_gap
from graft.registry.manifest import LIMIT_BYTES, MANIFEST, NUMBER, SIGNATURE, File, Manifest
from graft.registry.signing import Key, demanded_key, is_of, read_signature, require_signature
from graft.registry.transfer import PART_BYTES
from graft.store import Damaged, Missing, Store, Stored, open_store

DAMAGE, LEFTOVER = "DAMAGE", "leftover"
READERS = 4                         # each holds a part of a file
_KEYS = re.compile(
    rf"{re.escape(MARKER)}|{blobs.KEY}({re.escape(blobs.GONE)})?|models/{NAME_PATTERN}/aliases\.json"
    rf"|models/{NAME_PATTERN}/log/{NUMBER}\.json|models/{NAME_PATTERN}/versions/{NUMBER}/manifest\.(json|sig)"
)


@dataclass(frozen=True)
class Finding:
    """A problem in a registry.

    Attributes:
        kind: `DAMAGE`, or `LEFTOVER`, which is harmless and is removed by `gc` or the next promotion.
        where: `NAME`, `NAME@NUMBER` or an object's key.
        what: the problem, as a phrase.
    """

    kind: str
    where: str
    what: str


@dataclass
class Report:
    """The number of models, versions and files read, the files' size, and the problems found."""

    findings: list[Finding] = field(default_factory=list)
    models: int = 0
    versions: int = 0
    blobs: int = 0
    size_bytes: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return all(finding.kind != DAMAGE for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The result as a phrase."""
        damaged = sum(finding.kind == DAMAGE for finding in self.findings)
        leftover = len(self.findings) - damaged
        also = f", {leftover} leftover (`graft gc` removes the old ones)" if leftover else ""
        return (f"{damaged} DAMAGED" if damaged else "sound") + also


def verify(registry: str | None = None, public_key: Key | None = None) -> Report:
    """Check every promotion log, manifest, signature, alias and file of a registry. Reads everything in it.

    Args:
        registry: `s3://bucket/prefix` or a folder; by default `default_registry()`.
        public_key: a PEM file; a version that was not signed with the matching private key is reported. By default the
            environment variable GRAFT_PUBLIC_KEY; without it, a signature need only cover the manifest beside it.

    Raises:
        GraftError: if there is no registry.
    """
    store = open_store(check_registry(registry or default_registry()))
    stored = {each.key: each for each in store.scan("")}
    if not any(key.startswith(("models/", "blobs/")) or key == MARKER for key in stored):
        raise GraftError(f"there is no registry at {store.address}. Expected the file {store.address}/{MARKER}.")
    names = sorted({key.split("/")[1] for key in stored if key.startswith("models/") and key.count("/") > 1})
    report = Report(models=len(names))
    needed: dict[File, str] = {}
    for name in names:
        versions = list(_read_versions(store, name, report))
        report.versions += len(versions)
        report.findings += _check_log(store, name, {each.number: each for each in versions})
        report.findings += _check_signatures(store, versions, demanded_key(public_key))
        needed |= {file: f"{name}@{each.number}" for each in versions for file in each.all_files.values()}
    report.findings += _check_blobs(store, needed, stored, report)
    report.findings += _squatted(store, stored)
    foreign = [key for key in stored if not _KEYS.fullmatch(key)]
    report.findings += [Finding(LEFTOVER, key, "was not written by Graft") for key in foreign]
    return report


def _read_versions(store: Store, name: str, report: Report) -> Iterator[Manifest]:
    for number in manifest.numbers(store, name):
        try:
            yield manifest.read(store, name, number)
        except (Damaged, Missing) as error:
            report.findings.append(Finding(DAMAGE, f"{name}@{number}", str(error)))


def _check_log(store: Store, name: str, versions: dict[int, Manifest]) -> Iterator[Finding]:
    numbers = manifest.numbers(store, name)
    try:
        entries = log.read(store, name)
    except Damaged as error:
        yield Finding(DAMAGE, name, str(error))
        return
    last = entries[-1] if entries else log.Entry()
    for alias, number, digest in sorted({move for entry in entries for move in _moves(entry)}):
        if number in versions and versions[number].digest != digest:
            yield Finding(DAMAGE, f"{name}@{number}", f"its manifest differs from the one that was promoted as {alias}")
        if number not in versions and number not in last.deleted:
            yield Finding(DAMAGE, f"{name}@{number}", f"was promoted as {alias} and is missing")
    if gap := first_gap(numbers, last.deleted):
        yield Finding(DAMAGE, f"{name}@{gap}", f"is missing, but {name}@{numbers[-1]} is there: one was lost, or Graft "
                                               "did not write the other")
    for number in sorted(set(last.deleted) & set(versions)):
        yield Finding(LEFTOVER, f"{name}@{number}", "was deleted, but `graft gc` was stopped before removing its files")
    yield from _check_aliases(store, name, last)


def _check_signatures(store: Store, versions: list[Manifest], public_key: Key | None) -> Iterator[Finding]:
    for version in versions:
        try:
            signature = read_signature(store, version)
            if signature is not None and not is_of(signature, version):
                raise Damaged("its signature is not one of its manifest")
            require_signature(version, signature, public_key)
        except Damaged as error:
            yield Finding(DAMAGE, f"{version.name}@{version.number}", str(error))


def _squatted(store: Store, keys: Iterable[str]) -> Iterator[Finding]:
    """Signatures where no version is: they would stand in the way of the signature of a later one."""
    for key in keys:
        folder, _, name = key.rpartition("/")
        if _KEYS.fullmatch(key) and name == SIGNATURE and not store.stat(f"{folder}/{MANIFEST}"):
            yield Finding(DAMAGE, key, "is a signature without a version. Remove it")


def _moves(entry: log.Entry) -> Iterator[tuple[str, int, str]]:
    for alias, each in entry.aliases.items():
        yield alias, each["version"], each["manifest"]


def _check_aliases(store: Store, name: str, last: log.Entry) -> Iterator[Finding]:
    try:
        found = store.read_whole(log.aliases_key(name), LIMIT_BYTES)
    except Missing:
        found = None
    except Damaged:                 # too large to read, so it differs in any case
        found = b""
    if found != (log.aliases_json(last) if last.number else None):
        yield Finding(LEFTOVER, log.aliases_key(name), "disagrees with the log, which is authoritative")


def _check_blobs(store: Store, needed: dict[File, str], stored: dict[str, Stored], report: Report) -> list[Finding]:
    from tqdm import tqdm

    files = {key: each for key, each in stored.items() if blobs.sha256_of(key)}
    report.blobs, report.size_bytes = len(files), sum(each.size_bytes for each in files.values())
    with (tqdm(total=report.size_bytes, unit="B", unit_scale=True, desc="verify", leave=False, disable=None) as bar,
          InThreads(lambda blob: _problem(store, blob, bar.update), files.values(), READERS, READERS) as problems):
        findings = [Finding(DAMAGE, key, problem) for key, problem in zip(files, problems) if problem]
    for file, version in needed.items():        # one may be newer than the listing
        found = blobs.of_first_copy(store, file, lambda key: files.get(key) or store.stat(key))
        if not found:
            findings.append(Finding(DAMAGE, file.key, f"is missing, and {version} needs it"))
        elif found.size_bytes != file.size_bytes:
            findings.append(Finding(DAMAGE, found.key, f"does not have the size that {version} records"))
    return findings + list(_orphans(files, needed))


def _orphans(files: Iterable[str], needed: Iterable[File]) -> Iterator[Finding]:
    known = {file.sha256 for file in needed}
    for key in files:
        if blobs.sha256_of(key) not in known:
            yield Finding(LEFTOVER, key, "no version needs this file")


def _problem(store: Store, blob: Stored, progress: Callable[[int], object]) -> str | None:
    hasher = hashlib.sha256()
    for start in range(0, blob.size_bytes, PART_BYTES):
        try:
            data = store.read(blob.key, start, PART_BYTES)
        except Missing:
            return None                 # removed meanwhile; if a version needs it, that is reported
        hasher.update(data)
        progress(len(data))
    found = hasher.hexdigest()
    return None if blobs.sha256_of(blob.key) == found else f"its contents have the sha256 {found}"
