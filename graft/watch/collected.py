"""Read what `collection` has stored: fetch the pictures to this machine, and leave out whatever it did not write."""

import hashlib
import re
from collections.abc import Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from graft.errors import GraftError
from graft.images import MAX_BYTES
from graft.machine.files import whole
from graft.machine.names import inside
from graft.machine.progress import shown
from graft.machine.threads import InThreads
from graft.model.json_rules import is_text, parse
from graft.store import Damaged, Missing, Store
from graft.watch.collection import SUFFIXES
from graft.watch.windows import KEY as WINDOW
from graft.watch.windows import open_place

KEY = re.compile(rf"([0-9a-f]{{64}})({'|'.join(map(re.escape, SUFFIXES.values()))})")
ABOUT = re.compile(r"[0-9a-f]{64}\.json")
FETCHERS = 16               # threads: they mostly wait for the network
MOST_ABOUT = 100_000        # bytes of an answer
LONGEST = 100               # characters of a model's name or a time


@dataclass
class Collected:
    """The pictures of a place, fetched to a folder.

    Attributes:
        files: sha256 -> the file's name, which is that and a suffix, in the order of the names.
        about: sha256 -> which version answered, and when; empty where that cannot be told.
        others: key of what is left out -> why.
    """

    files: dict[str, str] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def fetch(place: str, folder: Path, without: Set[str]) -> Collected:
    """Fetch the pictures that are not in the folder yet.

    Args:
        place: a folder, or `s3://bucket/prefix`.
        folder: keeps them for the next time; it may be deleted at any time.
        without: sha256 of pictures that are of no interest; they do not stay in the folder.

    Raises:
        GraftError: if the place cannot be read, or holds nothing that `collection` wrote.
    """
    store, found = open_place(place), Collected()
    sizes = {each.key: each.size_bytes for each in store.scan("")}
    keys = {match[1]: key for key in sizes if (match := KEY.fullmatch(key))}
    if not keys:
        raise GraftError(f"{place} holds no collected picture. Expected a folder or s3://bucket/prefix to which `graft "
                         "serve --collect` or batch prediction wrote.")
    found.others = {key: "no name that a collection gives" for key in sizes
                    if not any(each.fullmatch(key) for each in (KEY, ABOUT, WINDOW))}
    for old in [path for path in folder.glob("*") if path.stem in without]:
        old.unlink()
    wanted = {sha256: key for sha256, key in keys.items() if sha256 not in without}
    with InThreads(partial(_fetch, store, folder, sizes), wanted.values(), FETCHERS, FETCHERS) as reasons:
        for (sha256, key), reason in zip(wanted.items(), shown(reasons, len(wanted), "fetching pictures", "picture")):
            if reason:
                found.others[key] = reason
            else:
                found.files[sha256], found.about[sha256] = key, _about(folder / f"{sha256}.json")
    return found


def _fetch(store: Store, folder: Path, sizes: dict[str, int], key: str) -> str:
    """Fetch a picture and its answer; why that cannot be, or "". What is in the folder is not fetched again."""
    picture, answer = inside(folder, key), f"{key[:64]}.json"
    try:
        if not picture.exists():
            if sizes[key] > MAX_BYTES:
                return f"larger than {MAX_BYTES // 1_000_000} MB"
            _write(picture, _read(store, key))
        if answer in sizes and not (folder / answer).exists() and sizes[answer] <= MOST_ABOUT:
            _write(folder / answer, store.read_whole(answer, MOST_ABOUT))
    except Missing:
        return "" if picture.exists() else "removed meanwhile"
    except Damaged as error:
        return str(error)
    return ""


def _read(store: Store, key: str) -> bytes:
    data = store.read_whole(key, MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != key[:64]:
        raise Damaged("its bytes are not those of which its name is the hash")
    return data


def _write(path: Path, data: bytes) -> None:
    with whole(path) as unfinished:
        unfinished.write_bytes(data)


def _about(path: Path) -> str:
    try:
        content = parse(path.read_bytes())
        texts = [content["model"][:LONGEST], content["time"][:len("2026-05-01T12:00")].replace("T", " ")]
        return ", ".join(each for each in texts if is_text(each))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):     # there is none, or others wrote it
        return ""
