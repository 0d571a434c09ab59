"""The manifest of a published version: its files by sha256, and its origin. Written once, never changed.

    blobs/sha256/ab/<hex>                          every file, content-addressed
    models/<name>/versions/<number>/manifest.json  written last: the version exists as soon as this exists
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graft.errors import GraftError
from graft.machine.names import is_plain
from graft.machine.threads import InThreads
from graft.model import bundle
from graft.model.json_rules import (
    LIMIT_BYTES,
    Rule,
    are_texts,
    find_problems,
    is_object,
    is_time,
    is_whole,
    or_null,
    parse,
)
from graft.store import Damaged, Missing, Store

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
NUMBER = "[0-9]{6}"                 # of a version or an entry of the log, in keys; see `address.LARGEST_NUMBER`
LARGEST_MODEL_BYTES = 4 << 30       # all files together
MOST_FILES = 100
READERS = 16
CARD, README = "card.md", "README.md"       # an attachment, and its place in a pulled folder: Hugging Face's
_RESERVED = {MANIFEST, SIGNATURE, "attachments"}    # in any case
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class File:
    """One file of a version, stored under the hash of its contents."""

    sha256: str
    size_bytes: int

    @property
    def key(self) -> str:
        """The key of the file's object in the store."""
        return f"blobs/sha256/{self.sha256[:2]}/{self.sha256}"


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`."""

    name: str
    number: int
    files: dict[str, File]                  # file name -> file: everything that prediction needs
    class_names: list[str]                  # in the order of the logits
    input: dict                             # of the model: name, dtype, shape, colours, range
    published: str                          # ISO 8601 in UTC, by the store's clock
    attachments: dict[str, File] = field(default_factory=dict)      # file name -> file: report, metrics, parameters …
    facts: dict = field(default_factory=dict)       # metrics, gate's verdict, data, commit, libraries, seconds, machine
    parent: int | None = None               # the champion when this version was published
    format: int = FORMAT
    data: bytes = field(default=b"", compare=False, repr=False)     # the stored bytes; not stored themselves

    @property
    def digest(self) -> str:
        """sha256 of the stored bytes."""
        return _sha256(self.data)

    @property
    def identity(self) -> str:
        """Equal for two versions with the same files, whatever their time, facts and attachments."""
        return _sha256("".join(f"{name} {file.sha256}\n" for name, file in sorted(self.files.items())).encode())

    @property
    def all_files(self) -> dict[str, File]:
        """Path in a pulled folder -> file, including attachments."""
        attached = {README if name == CARD else f"attachments/{name}": file
                    for name, file in self.attachments.items()}
        return attached | self.files


def describe(path: Path) -> File:
    """The hash and size of a file."""
    with open(path, "rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def encode(manifest: Manifest) -> bytes:
    """A manifest as it is stored. Raises `GraftError` if it cannot be stored as JSON, or its files make no version."""
    content = asdict(manifest)
    del content["data"]
    if problems := _file_problems(content["files"], content["attachments"]):
        raise GraftError(f"these files cannot be published together: {'; '.join(problems)}.")
    return to_json(content)


def decode(data: bytes, name: str, number: int, where: str) -> Manifest:
    """Parse and check a stored manifest.

    Args:
        name, number: the version that it must belong to.
        where: its address, for messages.

    Raises:
        Damaged: lists everything that is wrong.
    """
    content = from_json(data, where)
    if problems := _problems(content, name, number):
        raise Damaged(f"{where} is not the manifest of {name}@{number}: {'; '.join(problems)}. Do not use it.")
    for key in ("files", "attachments"):
        content[key] = {each: File(**file) for each, file in content[key].items()}
    return Manifest(**content, data=data)


def to_json(content: dict) -> bytes:
    """Encode an object as all JSON in a registry is.

    Raises:
        GraftError: if it contains values that `parse` would not read again, or is larger than `LIMIT_BYTES`.
    """
    try:
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        data = (text + "\n").encode()
        if len(data) <= LIMIT_BYTES:
            parse(data)         # what is stored stays for ever, and one object that nobody can read stops everybody
            return data
    except (TypeError, ValueError, RecursionError) as error:
        expected = "Expected numbers, strings, lists and mappings"
        raise GraftError(f"these facts cannot be stored as JSON: {error}. {expected}.") from error
    raise GraftError(f"{len(data):,} bytes of facts: expected at most {LIMIT_BYTES:,}. Attach a file instead.")


def from_json(data: bytes, where: str) -> dict:
    """Parse a stored JSON object. Raises `Damaged` if it is not one; `where` is its address, for messages."""
    try:
        content = parse(data)
    except ValueError as error:
        raise Damaged(f"{where} is damaged: it is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise Damaged(f"{where} is damaged: expected a JSON object, received {type(content).__name__}.")
    return content


def key_of(name: str, number: int) -> str:
    """The key of a version's manifest."""
    return f"models/{name}/versions/{number:06}/{MANIFEST}"


def signature_key(name: str, number: int) -> str:
    """The key of a version's signature."""
    return f"models/{name}/versions/{number:06}/{SIGNATURE}"


def numbers(store: Store, name: str) -> list[int]:
    """The numbers of all published versions, in ascending order."""
    pattern = re.compile(rf"models/{re.escape(name)}/versions/({NUMBER})/manifest\.json")
    found = (pattern.fullmatch(stored.key) for stored in store.scan(f"models/{name}/versions/"))
    return sorted(int(match[1]) for match in found if match)


def read(store: Store, name: str, number: int) -> Manifest:
    """Read and check a version's manifest. Raises `Missing` if there is none, `Damaged` if it is wrong."""
    key = key_of(name, number)
    return decode(store.read_whole(key, LIMIT_BYTES), name, number, f"{store.address}/{key}")


def read_all(store: Store, name: str) -> list[Manifest]:
    """The manifests of all versions, in ascending order, without any that is removed meanwhile."""
    def read_or_none(number: int) -> Manifest | None:
        try:
            return read(store, name, number)
        except Missing:
            return None

    with InThreads(read_or_none, numbers(store, name), READERS, ahead=READERS) as manifests:
        return [manifest for manifest in manifests if manifest]


def is_file_name(name: object) -> bool:
    """Whether a version may have a file of this name: it is plain, and Graft has no file of this name itself."""
    return isinstance(name, str) and is_plain(name) and name.lower() not in _RESERVED


def _problems(content: dict, name: str, number: int) -> list[str]:
    rules = _RULES | {"name": (repr(name), lambda value: value == name),
                      "number": (str(number), lambda value: is_whole(value) and value == number)}
    return find_problems({"parent": None} | content, rules) or _file_problems(content["files"], content["attachments"])


def _file_problems(files: dict, attachments: dict) -> list[str]:
    problems = [f"files: {name} is missing" for name in (bundle.MODEL, bundle.DESCRIPTION) if name not in files]
    both = [*files.items(), *attachments.items()]
    problems += [f"{name!r}: not a plain file name" for name, _ in both if not is_file_name(name)]
    problems += [f"{name!r}: expected sha256 and size_bytes" for name, file in both if not _is_file(file)]
    for group in (files, attachments):
        if len({name.lower() for name in group}) < len(group):
            problems.append("two files whose names differ in case alone")
    if len(both) > MOST_FILES:
        problems.append(f"{len(both)} files, at most {MOST_FILES} are allowed")
    if not problems and sum(file["size_bytes"] for _, file in both) > LARGEST_MODEL_BYTES:
        problems.append(f"larger than {LARGEST_MODEL_BYTES >> 30} GB in all")
    return problems


def _is_file(value: object) -> bool:
    return (
        isinstance(value, dict) and value.keys() == {"sha256", "size_bytes"}
        and isinstance(value["sha256"], str) and bool(_SHA256.fullmatch(value["sha256"]))
        and type(value["size_bytes"]) is int and 0 <= value["size_bytes"] <= LARGEST_MODEL_BYTES
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_RULES: dict[str, Rule] = {
    "format": (str(FORMAT), lambda value: is_whole(value) and value == FORMAT),
    "published": ("a time with its zone", is_time),
    "class_names": ("a list of texts", are_texts),
    "parent": ("a whole number or null", or_null(is_whole)),
    **dict.fromkeys(("attachments", "facts", "files", "input"), ("an object", is_object)),
}
