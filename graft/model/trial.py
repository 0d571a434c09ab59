"""Try a model before it takes over: one that never ends, wants all memory or answers NaN must not stop a server."""

from pathlib import Path

import numpy as np

from graft.errors import GraftError
from graft.machine.guarded import Ended, Guarded
from graft.model.classifier import Classifier

PROCESSOR_S = 60                # to load it and to answer, summed over all cores
MEMORY_BYTES = 4_000_000_000


def require_finite_answers(classifier: Classifier) -> None:
    """Let a model answer two known pictures, one black and one with all greys.

    Raises:
        GraftError: if a probability or an unknown score is no finite number, or the probabilities do not add up to 1.
    """
    height, width = classifier.image_size
    greys = np.linspace(0, 255, height * width).astype(np.uint8).reshape(height, width, 1).repeat(3, axis=2)
    logits, features = classifier.run(np.stack([np.zeros_like(greys), greys]))
    sums, scores = classifier.probabilities(logits).sum(axis=1), classifier.unknown_scores(features)
    if not (np.isfinite(logits).all() and np.isfinite(scores).all() and np.allclose(sums, 1)):
        raise GraftError(f"{classifier.folder}: the model answers a plain picture with numbers that are not finite. Do "
                         "not use it; publish another version, or roll back to one before it.")


class Trial:
    """Tries models in a process of its own, with limits; to be closed, which ends a trial that is under way."""

    def __init__(self) -> None:
        self._try = Guarded(_fault, 1, PROCESSOR_S, MEMORY_BYTES)

    def require_sound(self, folder: Path, format: str) -> None:
        """Load a bundle's model and let it answer.

        Raises:
            GraftError: if it cannot be loaded, does not answer finitely, or exceeds a limit.
        """
        try:
            fault = self._try(folder, format)
        except Ended:
            raise GraftError(f"{folder}: the model did not answer a plain picture within {PROCESSOR_S} s of processor "
                             "time, or crashed. Do not use it; publish another version.") from None
        if fault:
            raise GraftError(fault.decode())

    def close(self) -> None:
        """End the process."""
        self._try.close()


def _fault(folder: Path, format: str) -> bytes:
    try:
        require_finite_answers(Classifier(folder, format, threads=1))
    except GraftError as error:
        return str(error).encode()
    except (Exception, MemoryError) as error:      # whatever the runtimes raise
        return f"{folder}: the model cannot answer a plain picture: {error or type(error).__name__}".encode()
    return b""
