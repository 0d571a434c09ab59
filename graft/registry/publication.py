"""Publish a bundle as the next version of a model."""

import os
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from graft.errors import GraftError
from graft.model import bundle as bundles
from graft.registry import log, manifest, signing
from graft.registry.address import CHAMPION, check_name, check_registry
from graft.registry.lookup import check_promises, numbers_in_order
from graft.registry.manifest import File, Manifest, describe, is_file_name
from graft.registry.transfer import upload
from graft.store import Store, open_store


@dataclass(frozen=True)
class Published:
    """A published version.

    Attributes:
        registry: `s3://bucket/prefix` or a folder.
        version: the version's number, from 1.
        is_new: false if a version with the same files already existed.
    """

    registry: str
    name: str
    version: int
    is_new: bool

    @property
    def address(self) -> str:
        """`REGISTRY/NAME@NUMBER`, which `pull` and `promote` accept."""
        return f"{self.registry}/{self.name}@{self.version}"


def publish(bundle: str | Path, name: str, registry: str, *, attachments: dict[str, Path] | None = None,
            facts: dict | None = None, signing_key: str | Path | None = None) -> Published:
    """Publish a bundle as the next version of a model.

        version = graft.publish("bundle", "pets", "s3://bucket/models")

    If a version with the same files exists, no new one is made: publishing again is safe, and completes what a killed
    publisher left unfinished.

    Args:
        bundle: the bundle's folder; see `graft.model.bundle`.
        name: the model's name.
        registry: `s3://bucket/prefix` or a folder.
        attachments: file name -> path of files to keep with the version that prediction does not need.
        facts: other information about the version; must be valid JSON. `graft compare` shows `metrics`, `data`,
            `params`, `commit`, `gate` and the licence in `backbone`.
        signing_key: a PEM file with a private elliptic-curve key, by default the environment variable
            GRAFT_SIGNING_KEY; see `graft.registry.signing`.

    Raises:
        Damaged: if the version is published, but somebody else's signature stands in its place.
        GraftError: if the bundle, a name, the facts, the key or the registry cannot be used. Nothing is published then.
    """
    check_name(name)
    store = open_store(check_registry(registry))
    files, attached = bundle_files(Path(bundle)), _check_files(attachments or {})
    wanted = describe_bundle(name, bundles.read_description(bundle), files, attached, facts or {})
    if signing_key := signing_key or os.environ.get(signing.PRIVATE_VARIABLE):
        signing.sign(wanted, signing_key)       # refuses a key that cannot be used before anything is sent
    check_promises(store)
    needed = {wanted.files[each]: path for each, path in files.items()}
    blobs = needed | {wanted.attachments[each]: path for each, path in attached.items()}
    while True:
        version, is_new = _create(store, wanted, blobs)
        upload(store, blobs if is_new else needed)      # again: `gc` may have removed files that no version used
        if is_new or version.number not in log.head(store, name).deleted:
            break                   # `gc` has not deleted the version meanwhile either
    if signing_key:
        signing.sign_version(store, version, signing_key)
    return Published(store.address, name, version.number, is_new)


def describe_bundle(name: str, description: bundles.Description, files: dict[str, Path], attached: dict[str, Path],
                    facts: dict) -> Manifest:
    """The manifest, except number, time and parent, which only the registry knows. Raises `GraftError`."""
    height, width = description.image_size
    wanted = Manifest(
        name=name, number=0, published="", class_names=description.class_names, facts=facts,
        files={each: describe(path) for each, path in files.items()},
        attachments={each: describe(path) for each, path in attached.items()},
        input={"name": "images", "dtype": "uint8", "shape": ["batch", height, width, 3], "colours": "RGB",
               "range": [0, 255]},
    )
    manifest.encode(wanted)
    return wanted


def _create(store: Store, wanted: Manifest, blobs: dict[File, Path]) -> tuple[Manifest, bool]:
    """The version with these files, and whether it is new. If another publisher takes the number, try the next one."""
    numbers_in_order(store, wanted.name)
    last = log.head(store, wanted.name)
    versions = {each.number: each for each in manifest.read_all(store, wanted.name)}
    while True:
        kept = [each for number, each in versions.items() if number not in last.deleted]
        if same := [each for each in kept if each.identity == wanted.identity]:
            return same[-1], False
        upload(store, blobs)
        number = max([*versions, *last.deleted], default=0) + 1
        now = store.now().astimezone(UTC).isoformat(timespec="seconds")
        data = manifest.encode(replace(wanted, number=number, published=now, parent=last.version_of(CHAMPION)))
        if store.create(manifest.key_of(wanted.name, number), data):
            return manifest.decode(data, wanted.name, number, wanted.name), True
        versions[number] = manifest.read(store, wanted.name, number)


def bundle_files(folder: Path) -> dict[str, Path]:
    """Name -> path of each file of a bundle. Raises `GraftError` if the folder is no bundle."""
    bundles.read_description(folder)
    names = {bundles.MODEL, bundles.DESCRIPTION}
    names |= {bundles.UNKNOWN} if Path(folder, bundles.UNKNOWN).exists() else set()
    for files in bundles.FORMATS.values():
        names |= set(files) if Path(folder, files[0]).exists() else set()
    return _check_files({name: folder / name for name in names})


def _check_files(files: dict[str, Path]) -> dict[str, Path]:
    """Return the files sorted by name. Raises `GraftError` that lists all that are missing or have an invalid name."""
    problems = [f"{path}: the file does not exist" for path in files.values() if not Path(path).is_file()]
    problems += [f"'{name}': expected a plain file name of letters, digits, '.', '_' and '-' that is not reserved"
                 for name in files if not is_file_name(name)]
    if problems:
        raise GraftError("nothing was published: " + "; ".join(problems) + ".")
    return {name: Path(path) for name, path in sorted(files.items())}
