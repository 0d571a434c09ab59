"""What this machine keeps of a registry: the pulled versions, and the last state seen: no older one is believed.

    <home>/<registry>/<name>/versions/<number>/    a pulled version: its files and manifest.json
    <home>/<registry>/<name>/incoming/<sha256>     files on their way; a killed pull goes on from here
    <home>/<registry>/<name>/seen.json             the last entry of the log, and the digest of each manifest
"""

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graft.errors import GraftError
from graft.machine.files import whole
from graft.registry import log
from graft.registry.address import Address
from graft.store import identity

HOME_VARIABLE = "GRAFT_HOME"


def home() -> Path:
    """`$GRAFT_HOME`, or `graft` in the user's cache folder."""
    if folder := os.environ.get(HOME_VARIABLE):
        return Path(folder).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "graft"


@dataclass
class Seen:
    """What a registry said of a model when this machine last asked."""

    registry: str
    name: str
    last: log.Entry = field(default_factory=log.Entry)      # the head of the log
    manifests: dict[str, str] = field(default_factory=dict)     # number -> sha256
    latest: int | None = None                               # the newest version, when that was what was asked for


class Cache:
    """One model's folder on this machine."""

    def __init__(self, address: Address):
        where = identity(address.registry)
        self.folder = home() / hashlib.sha256(where.encode()).hexdigest()[:16] / address.name
        self.incoming = self.folder / "incoming"
        self._registry, self._name = where, address.name

    def version(self, number: int) -> Path:
        return self.folder / "versions" / str(number)

    def load(self) -> Seen:
        """What was seen last; an empty `Seen` before the first pull. Raises `GraftError` when it cannot be read."""
        path = self.folder / "seen.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            digest = content.pop("digest")
            entry = log.Entry(**content.pop("last"), digest=digest)
            return Seen(**content, last=entry)
        except FileNotFoundError:
            return Seen(self._registry, self._name)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise GraftError(f"{path} cannot be read ({error}). Remove {self.folder} and pull again.") from error

    def save(self, seen: Seen) -> None:
        content = asdict(seen)
        content["digest"] = content["last"].pop("digest")
        with whole(self.folder / "seen.json", folder=self.incoming) as unfinished:
            unfinished.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")

    @contextlib.contextmanager
    def locked(self):
        """Let one process at a time pull this model; the others wait. Disk errors become a `GraftError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "lock", "w") as file:
                _lock(file)
                yield
        except OSError as error:
            raise GraftError(
                f"{error.filename or self.folder}: {error.strerror or error}. Expected a folder that you may write to, "
                f"on a disk with room; {HOME_VARIABLE} names another one."
            ) from error


def _lock(file) -> None:
    try:
        import fcntl
    except ImportError:                 # Windows: two pulls at once may fetch a file twice, and still check it
        return
    fcntl.flock(file, fcntl.LOCK_EX)    # ends with the process, however that ends
