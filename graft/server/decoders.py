"""Decode the images of strangers in processes that are ended when an image takes too long or too much memory."""

import numpy as np

from graft.decoding.budget import MEMORY_BYTES
from graft.images import MAX_BYTES, UnreadableImage, read_image
from graft.machine.cores import cpu_count
from graft.machine.guarded import Ended, Guarded

PROCESSOR_S = 5         # for one image
_READ, _REFUSED = b"+", b"-"
_ENDED = f"it could not be decoded within {PROCESSOR_S} s of processor time: save it anew as JPEG or PNG"


class Decoders:
    """As many processes as there are cores, to be closed."""

    def __init__(self) -> None:
        self._decode = Guarded(_decode, cpu_count(), PROCESSOR_S, MEMORY_BYTES + 2 * MAX_BYTES)

    def read(self, data: bytes, image_size: tuple[int, int]) -> np.ndarray | UnreadableImage:
        """What `graft.images.read_image` returns, or the reason that it raises, as a value."""
        try:
            answer = memoryview(self._decode(data, image_size))
        except Ended:
            return UnreadableImage(_ENDED)
        if answer[:1] == _REFUSED:
            return UnreadableImage(str(answer[1:], "utf-8"))
        return np.frombuffer(answer[1:], np.uint8).reshape(*image_size, 3)

    def close(self) -> None:
        """End all processes at once; images that they decode count as unreadable."""
        self._decode.close()


def _decode(data: bytes, image_size: tuple[int, int]) -> bytes:
    try:
        return _READ + read_image(data, image_size).tobytes()
    except UnreadableImage as reason:
        return _REFUSED + str(reason).encode()
