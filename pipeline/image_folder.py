"""The image folder that `data.images` names: a folder of this machine, or a prefix in S3, read where it is.

Wherever a function takes the folder as a `Path`, an `S3Path` does as well: it has those of `Path`'s methods by which
images are read. Nothing is copied to this machine, and nothing is ever written there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from graft.errors import GraftError, UnreadableImage
from graft.images import read_bytes
from graft.machine.threads import InThreads
from graft.store import Missing, Store, open_store
from graft.store.address import endpoint

S3 = "s3://"
S3_READERS = 16     # concurrent reads: S3 answers after 10 to 50 ms, whatever the number of cores


class S3Path(PurePosixPath):
    """A prefix in S3 that stands for a folder, `s3://bucket/prefix`, or an object below it."""

    def __str__(self) -> str:
        return S3 + "/".join(self.parts[1:])

    @cached_property
    def objects(self) -> dict[str, str]:
        """Every object below this prefix, listed once: its key relative to the prefix -> its size and ETag.

        Raises:
            StoreError: if the bucket cannot be listed.
        """
        prefix = f"{self._key}/" if self._key else ""
        return {each.key.removeprefix(prefix): f"{each.size_bytes} {each.etag}" for each in self._store.scan(prefix)
                if each.key != prefix}      # an empty object that a console makes, to show the prefix as a folder

    def read_start(self, length: int) -> bytes:
        """Up to `length` bytes from the beginning of the object, for `graft.images.read_start`.

        Raises:
            UnreadableImage: if there is no such object.
            StoreError: if S3 does not answer, or refuses.
        """
        return read_object(self._store, self._key, length)

    def read_bytes(self) -> bytes:
        """The whole object, which may be no larger than an image."""
        return read_bytes(self)

    def link(self) -> str:
        """A signed address, with which a worker of a cluster reads the object without credentials."""
        return self._store.link(self._key, "application/octet-stream")

    @property
    def _key(self) -> str:
        return "/".join(self.parts[2:])

    @property
    def _store(self) -> Store:
        return _opened(S3 + self.parts[1], endpoint())


@lru_cache(maxsize=4)
def _opened(bucket: str, _: str) -> Store:
    """The bucket's store at an endpoint, whose connections all threads share."""
    return open_store(bucket, "the images in")


def read_object(store: Store, key: str, length: int) -> bytes:
    """Up to `length` bytes from the beginning of an object; see `S3Path.read_start`."""
    try:
        return store.read(key, 0, length)
    except Missing:
        raise UnreadableImage("no such object any more") from None


def image_folder(address: str) -> Path | S3Path:
    """The folder with this path, or the prefix with this `s3://` address. Raises `GraftError` if that has no bucket."""
    if not address.startswith(S3):
        return Path(address)
    if len((prefix := S3Path(address)).parts) < 2:
        raise GraftError(f"the address '{address}' of the images names no bucket. Expected s3://bucket/prefix.")
    return prefix


@contextmanager
def on_this_machine(images: list) -> Iterator[list[Path]]:
    """Paths of a few images, for other programs; of objects in S3, those of copies that last as long as the block."""
    if not images or not isinstance(images[0], S3Path):
        yield images
        return
    with TemporaryDirectory() as folder, InThreads(S3Path.read_bytes, images, S3_READERS, S3_READERS) as contents:
        copies = [Path(folder, str(number)) for number in range(len(images))]
        for copy, data in zip(copies, contents):
            copy.write_bytes(data)
        yield copies


def readers_of(images: Path | S3Path) -> int | None:
    """How many threads read images of this folder, or the one at this path; None for one per core."""
    return S3_READERS if isinstance(images, S3Path) else None
