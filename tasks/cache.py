"""Show what `.graft` holds, and empty it. All of it is computed again when it is needed.

    python -m tasks.cache                        show each part, its size and its last use
    python -m tasks.cache --empty                empty all parts
    python -m tasks.cache --empty activations    empty one
"""

import argparse
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from graft.errors import GraftError, did_you_mean, reported
from tasks.artifacts import CACHE

AGAIN = {       # part of .graft -> what its loss costs
    "activations": "the next run computes the frozen part anew", "intake": "`validate` reads every image anew",
    "transfer": "a stage that was killed begins anew", "choose": "a stage that was killed begins anew",
    "finetune": "a stage that was killed begins anew",
}


def parts(cache: Path) -> dict[str, list[Path]]:
    """Each part of the cache that is there -> its files."""
    return {name: [file for file in sorted((cache / name).rglob("*")) if file.is_file()]
            for name in AGAIN if (cache / name).is_dir()}


def show(cache: Path) -> Iterator[str]:
    """A line per part: its name, size and last use, and what its loss costs."""
    yield f"{'part':<12} {'MB':>9}  {'last used':<10}  if it is emptied"
    for name, files in parts(cache).items():
        sizes = [file.stat() for file in files]
        used = date.fromtimestamp(max(each.st_mtime for each in sizes)).isoformat() if sizes else "-"
        yield f"{name:<12} {sum(each.st_size for each in sizes) / 1e6:>9,.1f}  {used:<10}  {AGAIN[name]}"


def empty(cache: Path, names: list[str]) -> Iterator[str]:
    """Remove parts of the cache, and say what became free. What another process has locked stays.

    Args:
        names: of the parts; empty for all.

    Raises:
        GraftError: before anything is removed, if there is no such part.
    """
    if unknown := [name for name in names if name not in AGAIN]:
        raise GraftError(f"{cache} has no part '{unknown[0]}'. Expected any of {', '.join(AGAIN)}."
                         f"{did_you_mean(unknown[0], AGAIN)}")
    for name, files in parts(cache).items():
        if name in (names or AGAIN):
            freed = sum(file.stat().st_size for file in files)
            kept = [folder for folder in (cache / name).iterdir() if not _remove(folder)]
            freed -= sum(file.stat().st_size for folder in kept for file in folder.rglob("*"))
            yield f"{name}: {freed / 1e6:,.1f} MB removed" + f"; {len(kept)} in use, kept" * bool(kept)


def _remove(entry: Path) -> bool:
    """Remove a file or a folder. Returns whether no process had locked it, see `pipeline.training.room`."""
    if not entry.is_dir():
        entry.unlink()
        return True
    with _locked(entry / "lock") as is_free:
        if is_free:
            shutil.rmtree(entry)
    return is_free


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock if nobody else does. Yields whether it is held."""
    with open(path, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tasks.cache", description=__doc__.splitlines()[0])
    parser.add_argument("--empty", nargs="*", metavar="PART", help=f"any of {', '.join(AGAIN)}; default: all")
    asked = parser.parse_args().empty
    for line in show(CACHE) if asked is None else empty(CACHE, asked):
        print(line)


if __name__ == "__main__":
    with reported():
        main()
