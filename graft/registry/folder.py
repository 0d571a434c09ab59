"""A version's folder in the cache of this machine: complete it, and check it."""

import hashlib
import shutil
from pathlib import Path

from graft.machine.files import whole
from graft.machine.names import inside
from graft.registry.manifest import MANIFEST, File, Manifest, decode, describe
from graft.registry.transfer import download
from graft.store import Damaged, Store


def build(folder: Path, store: Store, files: dict[str, File], texts: dict[str, bytes | None], incoming: Path) -> int:
    """Complete a version's folder, fetching only what is missing.

    A new folder appears only when it is complete. If this process is killed, partly transferred files stay in
    `incoming`, and the next call resumes from them.

    Args:
        files: path in the folder -> file.
        texts: file name -> contents of small files; None leaves a file out.

    Returns:
        The number of bytes transferred.
    """
    target = folder if folder.exists() else folder.with_name(f".{folder.name}.new")
    paths = {inside(target, name): file for name, file in files.items()}
    missing = {path: file for path, file in paths.items() if not _is(path, file)}
    transferred = download(store, missing.values(), incoming)
    placed: dict[str, Path] = {}
    for path, file in missing.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.sha256 in placed:
            shutil.copyfile(placed[file.sha256], path)
        else:
            placed[file.sha256] = (incoming / file.sha256).replace(path)
    for name, text in texts.items():
        if text is not None:
            _write(target / name, text, incoming)
    if target != folder:
        target.rename(folder)
    return transferred


def is_whole(folder: Path, files: dict[str, File]) -> bool:
    """Whether the folder contains all these files, byte for byte."""
    return all(_is(inside(folder, name), file) for name, file in files.items())


def read_folder(folder: Path, name: str, number: int, digest: str) -> Manifest:
    """Read a pulled version's manifest.

    Args:
        digest: the sha256 that the manifest had when it was pulled.

    Raises:
        Damaged: if it has another one now.
    """
    path = folder / MANIFEST
    data = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise Damaged(f"{path} has changed since it was pulled. Pull {name}@{number} again without --offline.")
    return decode(data, name, number, str(path))


def _write(path: Path, data: bytes, incoming: Path) -> None:
    """Whole or not at all, and only when it is another text: somebody may be reading it."""
    if not path.exists() or path.read_bytes() != data:
        with whole(path, folder=incoming) as unfinished:        # what a kill leaves there is not taken for the model's
            unfinished.write_bytes(data)


def _is(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes and describe(path) == file
