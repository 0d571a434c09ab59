"""Real photographs and real ImageNet weights, where they are at hand: they are too large for the project itself.

GRAFT_REAL_DATA and GRAFT_REAL_WEIGHTS name their folders.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def real_data(name: str) -> Path:
    """The folder of one data set; skips the test with the reason when it is not there."""
    return _at_hand(Path(os.environ.get("GRAFT_REAL_DATA", ROOT.parent / "shared" / "data")) / name, "GRAFT_REAL_DATA")


def real_weights(name: str) -> Path:
    """One weights file; skips the test with the reason when it is not there."""
    folder = Path(os.environ.get("GRAFT_REAL_WEIGHTS", ROOT.parent / "shared" / "weights"))
    return _at_hand(folder / name, "GRAFT_REAL_WEIGHTS")


def _at_hand(path: Path, variable: str) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is missing: {variable} names the folder with real photographs or weights")
    return path.resolve()
