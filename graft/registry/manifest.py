"""What one published version is: its files by sha256, and where it comes from. Written once, never changed.

    blobs/sha256/ab/<hex>                          each file, content-addressed
    models/<name>/versions/<number>/manifest.json  written last: from then on the version exists
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graft.errors import GraftError
from graft.machine.threads import InThreads
from graft.model import bundle
from graft.model.rules import INTEGER, LIST, OBJECT, STRING, Rule, broken, exactly, or_null
from graft.store import Damaged, Missing, Store

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
LIMIT_BYTES = 4_000_000             # of a manifest, and of an entry of the log
LARGEST_MODEL_BYTES = 4 << 30       # of all files together
MOST_FILES = 100
READERS = 16
_FILE_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?")     # no folder, drive or hidden file
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|manifest\.(json|sig)|attachments", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class File:
    """One file of a version, found under its content's address."""

    sha256: str
    size_bytes: int

    @property
    def key(self) -> str:
        return f"blobs/sha256/{self.sha256[:2]}/{self.sha256}"


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`."""

    name: str
    number: int
    files: dict[str, File]                  # what it takes to predict
    class_names: list[str]                  # in the order of the logits
    input: dict                             # name, dtype, shape, colours, range: what the model takes
    published: str                          # by the store's clock, ISO 8601 in UTC
    attachments: dict[str, File] = field(default_factory=dict)      # report, metrics, params.yaml, dvc.lock …
    facts: dict = field(default_factory=dict)       # metrics, gate's verdict, data, commit, libraries, seconds, machine
    parent: int | None = None               # the champion when this was published
    format: int = FORMAT
    data: bytes = field(default=b"", compare=False, repr=False)     # the stored bytes; not among them

    @property
    def digest(self) -> str:
        """sha256 of the stored bytes."""
        return _sha256(self.data)

    @property
    def identity(self) -> str:
        """The same for two versions whose files are the same: neither time nor facts count."""
        return _sha256("".join(f"{name} {file.sha256}\n" for name, file in sorted(self.files.items())).encode())

    @property
    def all_files(self) -> dict[str, File]:
        """Path in a pulled folder -> file, attachments too."""
        return self.files | {f"attachments/{name}": file for name, file in self.attachments.items()}


def describe(path: Path) -> File:
    """A file's digest and size."""
    with open(path, "rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def encode(manifest: Manifest) -> bytes:
    content = asdict(manifest)
    del content["data"]
    return to_json(content)


def decode(data: bytes, name: str, number: int, where: str) -> Manifest:
    """Read a manifest that must be that of version `number` of `name`. Raises `Damaged` with all that is wrong."""
    content = from_json(data, where)
    if problems := _problems(content, name, number):
        raise Damaged(f"{where} is not the manifest of {name}@{number}: {'; '.join(problems)}. Do not use it.")
    for key in ("files", "attachments"):
        content[key] = {each: File(**file) for each, file in content[key].items()}
    return Manifest(**content, data=data)


def to_json(content: dict) -> bytes:
    """The one way a registry writes JSON. Raises `GraftError` for what JSON cannot hold."""
    try:
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        data = (text + "\n").encode()
    except (TypeError, ValueError) as error:
        raise GraftError(f"no JSON can hold these facts: {error}. Expected numbers, texts, lists, mappings.") from error
    if len(data) > LIMIT_BYTES:
        raise GraftError(f"{len(data):,} bytes of facts, at most {LIMIT_BYTES:,} are stored. Attach a file instead.")
    return data


def from_json(data: bytes, where: str) -> dict:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{where} is damaged: it is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise Damaged(f"{where} is damaged: expected a JSON object, received {type(content).__name__}.")
    return content


def key_of(name: str, number: int) -> str:
    return f"models/{name}/versions/{number:06}/{MANIFEST}"


def signature_key(name: str, number: int) -> str:
    return f"models/{name}/versions/{number:06}/{SIGNATURE}"


def numbers(store: Store, name: str) -> list[int]:
    """The numbers of all published versions, ascending."""
    pattern = re.compile(rf"models/{re.escape(name)}/versions/([0-9]{{6,9}})/manifest\.json")
    found = (pattern.fullmatch(stored.key) for stored in store.scan(f"models/{name}/versions/"))
    return sorted(int(match[1]) for match in found if match)


def read(store: Store, name: str, number: int) -> Manifest:
    """Raises `Missing`, and `Damaged` when it is not what it claims to be."""
    key = key_of(name, number)
    return decode(store.read_whole(key, LIMIT_BYTES), name, number, f"{store.address}/{key}")


def read_all(store: Store, name: str) -> list[Manifest]:
    """All versions, ascending; one that is removed meanwhile is left out."""
    def read_or_none(number: int) -> Manifest | None:
        try:
            return read(store, name, number)
        except Missing:
            return None

    with InThreads(read_or_none, numbers(store, name), READERS, ahead=READERS) as manifests:
        return [manifest for manifest in manifests if manifest]


def is_file_name(name) -> bool:
    """Whether a file of this name can be written into a folder, on every system, and nowhere else."""
    return isinstance(name, str) and bool(_FILE_NAME.fullmatch(name)) and not _RESERVED.fullmatch(name)


def _problems(content: dict, name: str, number: int) -> list[str]:
    rules = {"name": exactly(name), "number": exactly(number), **_RULES}
    return broken(content, rules, optional=["parent"]) or _file_problems(content["files"], content["attachments"])


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
    return not broken(value, _FILE_RULES)


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))


_RULES = {
    "files": OBJECT,
    "class_names": LIST,
    "input": OBJECT,
    "published": STRING,
    "attachments": OBJECT,
    "facts": OBJECT,
    "parent": or_null(INTEGER),
    "format": exactly(FORMAT),
}
_FILE_RULES = {
    "sha256": Rule("a sha256", _is_sha256),
    "size_bytes": Rule("a size", lambda value: type(value) is int and 0 <= value <= LARGEST_MODEL_BYTES),
}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
