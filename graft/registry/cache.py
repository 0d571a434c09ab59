"""The cache of pulled versions on this machine, and the last state of the registry seen: an older one is refused.

    <home>/<registry>/<name>/versions/<number>/    a pulled version: its files and manifest.json
    <home>/<registry>/<name>/incoming/<sha256>     partly transferred files; after a kill, the next pull resumes here
    <home>/<registry>/<name>/seen.json             the last entry of the log, and the digest of each manifest
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graft.errors import GraftError
from graft.machine.files import expanded, lock, whole
from graft.model.json_rules import parse
from graft.registry import log
from graft.registry.address import Address
from graft.store import identity

HOME_VARIABLE = "GRAFT_HOME"


def home() -> Path:
    """The cache's folder: `$GRAFT_HOME`, otherwise `$XDG_CACHE_HOME/graft` or `~/.cache/graft`. Raises `GraftError`."""
    if folder := os.environ.get(HOME_VARIABLE):
        return expanded(folder)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache", or_else=f"set {HOME_VARIABLE}") / "graft"


@dataclass
class Seen:
    """The state of a model when this machine last asked its registry."""

    registry: str
    name: str
    last: log.Entry = field(default_factory=log.Entry)      # the newest entry of the log
    manifests: dict[str, str] = field(default_factory=dict)     # number -> sha256
    latest: int | None = None                               # the newest version at the last pull that asked for it


class Cache:
    """The folder of one model on this machine."""

    def __init__(self, address: Address):
        where = identity(address.registry)
        self.folder = home() / hashlib.sha256(where.encode()).hexdigest()[:16] / address.name
        self.incoming = self.folder / "incoming"
        self._registry, self._name = where, address.name

    def version(self, number: int) -> Path:
        """The folder of a pulled version, which need not exist."""
        return self.folder / "versions" / str(number)

    def load(self) -> Seen:
        """Read the last state seen; an empty `Seen` before the first pull. Raises `GraftError` if it cannot be read."""
        path = self.folder / "seen.json"
        try:
            content = parse(path.read_bytes())
            digest = content.pop("digest")
            entry = log.Entry(**content.pop("last"), digest=digest)
            return Seen(**content, last=entry)
        except FileNotFoundError:
            return Seen(self._registry, self._name)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise GraftError(f"{path} cannot be read ({error}). Remove {self.folder} and pull again.") from error

    def save(self, seen: Seen) -> None:
        """Write the last state seen."""
        content = asdict(seen)
        content["digest"] = content["last"].pop("digest")
        with whole(self.folder / "seen.json", folder=self.incoming) as unfinished:
            unfinished.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let only one process at a time pull this model; the others wait. Errors of the disk become a `GraftError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "lock", "w") as file:
                lock(file)      # on Windows nobody waits: two pulls may fetch a file twice, but still check it
                yield
        except OSError as error:
            raise GraftError(
                f"{error.filename or self.folder}: {error.strerror or error}. Expected a folder that you can write to, "
                f"on a disk with free space. Set {HOME_VARIABLE} to use another folder."
            ) from error
