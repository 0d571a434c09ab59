"""Decode the images of strangers in processes that are ended when an image takes too long or too much memory."""

from contextlib import AbstractContextManager

import numpy as np

from graft.decoding.budget import MEMORY_BYTES
from graft.images import MAX_BYTES, UnreadableImage, read_image
from graft.machine.cores import cpu_count
from graft.machine.guarded import Ended, Guarded

PROCESSOR_S = 5         # for one image
PROCESS_BYTES = MEMORY_BYTES + 2 * MAX_BYTES        # with the file and a copy of it
ENDED = f"it could not be decoded within {PROCESSOR_S} s of processor time: save it anew as JPEG or PNG"
_READ, _REFUSED = b"+", b"-"


class Decoders(AbstractContextManager):
    """Processes that decode, to be opened by `with` or closed.

    Args:
        processes: as many as there are cores unless given.
        processor_s: processor time in seconds for one image.
        give_way: their niceness, from 0 to 19.
    """

    def __init__(self, processes: int | None = None, processor_s: float | None = None, give_way: int = 0) -> None:
        limits = processor_s or PROCESSOR_S, PROCESS_BYTES
        self._decode = Guarded(_decode, processes or cpu_count(), *limits, give_way)

    def read(self, source: str | bytes, image_size: tuple[int, int]) -> np.ndarray | UnreadableImage:
        """What `graft.images.read_image` returns, or the reason that it raises, as a value."""
        image = self.read_in_time(source, image_size)
        return UnreadableImage(ENDED) if image is None else image

    def read_in_time(self, source: str | bytes, image_size: tuple[int, int]) -> np.ndarray | UnreadableImage | None:
        """The same, but None if the process was ended."""
        try:
            answer = memoryview(self._decode(source, image_size))
        except Ended:
            return None
        if answer[:1] == _REFUSED:
            return UnreadableImage(str(answer[1:], "utf-8"))
        return np.frombuffer(answer[1:], np.uint8).reshape(*image_size, 3)

    def close(self) -> None:
        """End all processes at once; images that they decode count as unreadable."""
        self._decode.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def _decode(source: str | bytes, image_size: tuple[int, int]) -> bytes:
    try:
        return _READ + read_image(source, image_size).tobytes()
    except UnreadableImage as reason:
        return _REFUSED + str(reason).encode(errors="backslashreplace")
