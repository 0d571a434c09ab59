"""`graft pull` beside `aws s3 cp`: a model of 100 MB from Ceph's gateway on loopback, each in a process of its own.

    python -m benchmarks.pull [--megabytes 100] [--times 5]

Needs Ceph (Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd) and `aws` on the PATH, best from
a virtual environment of its own (pip install awscli). Both sides run in turn; the figures are medians.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    missing = [command for command in ("aws", "radosgw", "ceph-mon", "ceph-osd") if not shutil.which(command)]
    if missing:
        sys.exit(f"skipped: {', '.join(missing)} not on the PATH. See the head of {__file__}.")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), arguments.megabytes, arguments.times)
    for name, seconds in rows.items():
        typical = statistics.median(seconds)
        print(f"{name:34} {typical:6.2f} s  {arguments.megabytes / typical:7.0f} MB/s  "
              f"({min(seconds):.2f} to {max(seconds):.2f} s)")
    ratio = statistics.median(rows["aws s3 cp"]) / statistics.median(rows["graft pull"])
    print(f"graft pull has {ratio:.2f} of the speed of aws s3 cp")


def measure(folder: Path, megabytes: int, times: int) -> dict[str, list[float]]:
    """Seconds of each run, process start to end."""
    import pytest
    import s3_server
    from tiny_bundle import make_bundle

    from graft.registry import publish
    from graft.registry.manifest import describe

    with pytest.MonkeyPatch.context() as patch:
        registry = s3_server.use(patch, s3_server.radosgw())
        bundle = make_bundle(folder / "bundle")
        large = bundle / "unknown.npz"          # a pull checks its bytes and does not read it
        large.write_bytes(random.Random(1).randbytes(megabytes * 1_000_000))
        publish(bundle, "large", registry)
        blob = f"{registry}/{describe(large).key}"
        rows: dict[str, list[float]] = {}
        for turn in range(times):
            home = folder / f"home{turn}"
            pull = [sys.executable, "-m", "graft.cli", "pull", f"{registry}/large@1"]
            copy = ["aws", "s3", "cp", "--only-show-errors", blob, str(folder / "copy")]
            for name, command in {"aws s3 cp": copy, "graft pull": pull, "graft pull, again": pull,
                                  "graft pull --offline": [*pull, "--offline"]}.items():
                rows.setdefault(name, []).append(seconds_of(command, home))
            shutil.rmtree(home)
            (folder / "copy").unlink()
        return rows


def seconds_of(command: list[str], home: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
                   env=os.environ | {"GRAFT_HOME": str(home)})
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
