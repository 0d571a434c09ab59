"""Where a training keeps its checkpoint: in a file named by all that decides on the outcome."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import keras


def checkpoint_path(folder: Path, params, inputs: list[Path]) -> Path:
    """A file name that only a training with the same parameters, input files, code and libraries has.

    Args:
        params: a dataclass.
        inputs: the files that the training reads.
    """
    code = sorted(Path(__file__).parent.glob("*.py"))
    parts = [json.dumps(asdict(params), sort_keys=True), keras.backend.backend(), keras.__version__]
    parts += [hashlib.sha256(path.read_bytes()).hexdigest() for path in [*code, *inputs]]
    return folder / f"{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:24]}.npz"
