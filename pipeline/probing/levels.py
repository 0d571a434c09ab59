"""Read the levels of images, the pooled outputs of the frozen network at the ends of its blocks, from the cache."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.shards import Shards
from pipeline.views import MIRRORED, PLAIN, View

VIEWS = (PLAIN, MIRRORED)


@dataclass(frozen=True)
class Index:
    """Where the levels of images lie, and what their columns mean: the contents of levels.json.

    Attributes:
        folder: of the shards, in the cache.
        units: each level, from first to last, with the number of its columns.
    """

    folder: str
    units: list[tuple[str, int]]

    @property
    def names(self) -> list[str]:
        """The levels, from first to last; the last is the output of the network."""
        return [name for name, _ in self.units]

    def columns(self, names: list[str]) -> np.ndarray:
        """The columns of some levels, int, in the order of the network."""
        ends = np.cumsum([units for _, units in self.units])
        return np.concatenate([np.arange(end - units, end) for (name, units), end in zip(self.units, ends)
                               if name in names])


def views_of(paths: list[str], sha256s: list[str]) -> list[View]:
    """The views whose levels are kept, those of one image in a row, in the order of `VIEWS`."""
    return [View(path, sha256, number) for path, sha256 in zip(paths, sha256s) for number in VIEWS]


def read_cached(cache: Path, index: Index, views: list[View]) -> np.ndarray | None:
    """Read levels, float32 `(images, 2, units)`, plain and mirrored; None if one of them is not in the cache.

    Args:
        cache: the folder of the activations.
        index: see `Index`.
        views: from `views_of`.
    """
    shards, keys = Shards(cache / index.folder), [view.key("") for view in views]
    if not shards.hold(keys):
        return None
    rows = shards.read(keys)
    return rows.reshape(-1, len(VIEWS), rows.shape[1]).astype(np.float32)
