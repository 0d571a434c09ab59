"""Where training keeps its checkpoint, and its contents: a file named after everything that determines the result."""

import hashlib
import json
import zipfile
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from pipeline import sealed
from pipeline.code import digest_of


def checkpoint_path(folder: Path, params, inputs: list[Path], module: str) -> Path:
    """A file name that only a training with the same parameters, input files, code and libraries has.

    Checkpoints of another origin are never read; that they lie there is said.

    Args:
        params: a dataclass.
        inputs: the files that the training reads.
        module: the one that trains, by its dotted name.
    """
    parts = [json.dumps(asdict(params), sort_keys=True), digest_of(module)]
    parts += [hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs]
    path = folder / f"{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:24]}.npz"
    if others := [other for other in folder.glob("*.npz") if other != path and not other.name.startswith(".")]:
        plural = "s" * (len(others) > 1)
        print(f"{folder}: {len(others)} checkpoint{plural} of other data, parameters or code: not used", flush=True)
    return path


def write(path: Path, progress: dict, **lists: list) -> None:
    """Write plain data and named lists of arrays, whole or not at all, even if the machine loses power.

    A full disk does not end the training.
    """
    arrays = {f"{name}_{i}": np.asarray(each) for name, list_ in lists.items() for i, each in enumerate(list_)}
    try:
        with sealed.sealed(path) as unfinished, open(unfinished, "wb") as file:
            np.savez(file, progress=np.array(json.dumps(progress)), **arrays)
    except OSError as error:
        _say_once(f"{path}: {error.strerror}: training goes on without checkpoints; if it is killed, it starts again")


@cache
def _say_once(message: str) -> None:
    print(message, flush=True)


def read(path: Path, progress: dict, **lists: list) -> tuple[dict, dict[str, list[np.ndarray]]] | None:
    """Read what `write` was given: the progress, and the lists by name. None if it is missing or cannot be used.

    Args:
        progress, lists: those of the training when it begins; a checkpoint has the same keys, and arrays of the same
            shapes in every list that is given.
    """
    if not sealed.is_sound(path):
        return None
    with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
        found, arrays = _parse(path)
        if found.keys() == progress.keys() and all(_shapes(lists[each]) == _shapes(arrays[each]) for each in lists):
            return found, arrays
    sealed.discard(path)
    return None


def _parse(path: Path) -> tuple[dict, dict[str, list[np.ndarray]]]:
    lists: dict[str, list[np.ndarray]] = defaultdict(list)      # of no arrays, nothing is written
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:       # in the order in which they were written
            if name != "progress":
                lists[name.rpartition("_")[0]].append(arrays[name])
        return dict(json.loads(str(arrays["progress"]))), lists


def _shapes(arrays: list) -> list[tuple[int, ...]]:
    return [tuple(each.shape) for each in arrays]
