"""Arrays on disk by key, in float16 shards that never change, so that what a killed run has written stays valid."""

import hashlib
import json
import math
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0

from pipeline import sealed

ROW_TYPE = np.dtype(np.float16)


class Shards:
    """A folder of shards: `NAME.npy`, float16 `(rows, *shape)`, and `NAME.json`, the keys of its rows, written last.

    A shard is named after its keys, so that two processes that write the same rows write the same file. Both files are
    sealed: a shard whose rows are damaged is forgotten as soon as one of them is wanted.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._where: dict[str, tuple[str, int]] = {}        # key -> shard, row
        self._layouts: dict[str, tuple[int, tuple[int, ...]]] = {}      # shard -> offset of its rows, shape of a row
        for keys in sorted(folder.glob("*.json")):
            self._remember(keys.stem, json.loads(sealed.read(keys) or b"[]"))

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def hold(self, keys: list[str]) -> bool:
        """Whether all rows with these keys can be read. A shard that is wanted for the first time is read whole."""
        for name in {self._where[key][0] for key in keys if key in self} - self._layouts.keys():
            if not sealed.is_sound(self.folder / f"{name}.npy"):
                self._forget(name)
            else:
                mapped = np.load(self.folder / f"{name}.npy", mmap_mode="r")
                self._layouts[name] = mapped.offset, mapped.shape[1:]
        return all(key in self for key in keys)

    def use(self, keys: list[str]) -> set[str]:
        """Note on the disk that the shards with these keys are in use now. Returns their names."""
        names = {self._where[key][0] for key in keys if key in self}
        with suppress(OSError):         # of a cache that may only be read
            for name in names:
                os.utime(self.folder / f"{name}.json")
        return names

    def write(self, keys: list[str], rows) -> None:
        """Add rows as one shard, completely or not at all.

        Args:
            keys: of the rows.
            rows: float16 `(len(keys), *shape)`.
        """
        rows = np.ascontiguousarray(rows, ROW_TYPE)
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:24]
        with sealed.sealed(self.folder / f"{name}.npy") as unfinished, open(unfinished, "wb") as file:
            write_array_header_1_0(file, header_data_from_array_1_0(rows))
            file.write(rows.data)       # np.save would hide why a disk takes no more
        with sealed.sealed(self.folder / f"{name}.json") as unfinished:
            unfinished.write_text(json.dumps(keys), encoding="utf-8")
        self._remember(name, keys)

    def read(self, keys: list[str]) -> np.ndarray:
        """Read rows, float16 `(len(keys), *shape)`, in the order of the keys.

        Raises:
            KeyError: for a row that is not there, or is damaged.
        """
        if not self.hold(keys):
            raise KeyError(next(key for key in keys if key not in self))
        return np.stack([self._row(*self._where[key]) for key in keys])

    def _row(self, shard: str, row: int) -> np.ndarray:
        """Read one row, instead of mapping the file: mapped pages would count as memory of this process."""
        begin, shape = self._layouts[shard]
        values = math.prod(shape)
        offset = begin + row * values * ROW_TYPE.itemsize
        return np.fromfile(self.folder / f"{shard}.npy", ROW_TYPE, values, offset=offset).reshape(shape)

    def _forget(self, name: str) -> None:
        with suppress(OSError):         # of a cache that may only be read
            (self.folder / f"{name}.json").unlink()
        self._where = {key: where for key, where in self._where.items() if where[0] != name}

    def _remember(self, name: str, keys: list[str]) -> None:
        self._where.update((key, (name, row)) for row, key in enumerate(keys))
