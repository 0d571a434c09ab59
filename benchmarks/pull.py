"""`graft pull` beside `aws s3 cp`: a model of 100 MB from Ceph's gateway on loopback, each in its own process.

    python -m benchmarks.pull [--megabytes 100] [--times 5]

Needs Ceph (Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd) and `aws` on the PATH, preferably
from its own virtual environment (pip install awscli). The sides take turns; the figures are medians.
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import ROOT
from benchmarks.timeline import seconds_of
from graft.errors import reported

sys.path.insert(0, str(ROOT / "tests"))     # its S3 server and its small bundle


def main() -> None:
    options = begin(__doc__, megabytes=100, times=5)
    missing = [command for command in ("aws", "radosgw", "ceph-mon", "ceph-osd") if not shutil.which(command)]
    if missing:
        sys.exit(f"skipped: {', '.join(missing)} not on the PATH. See the head of {__file__}.")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.megabytes, options.times)
    print_head("command", "median, s", "MB/s", "range, s")
    for name, seconds in rows.items():
        median = statistics.median(seconds)
        speed, seconds_range = options.megabytes / median, f"{min(seconds):.2f} to {max(seconds):.2f}"
        print_row(name, f"{median:.2f}", f"{speed:.0f}", seconds_range)
    ratio = statistics.median(rows["aws s3 cp"]) / statistics.median(rows["graft pull"])
    print(f"graft pull reaches {ratio:.2f} of the speed of aws s3 cp")


def measure(folder: Path, megabytes: int, times: int) -> dict[str, list[float]]:
    """Seconds of each run, from process start to end."""
    import pytest
    import s3_server
    from tiny_bundle import make_bundle

    from graft.registry import publish
    from graft.registry.manifest import describe

    with pytest.MonkeyPatch.context() as patch:
        registry = s3_server.use(patch, s3_server.radosgw())
        bundle = make_bundle(folder / "bundle")
        large = bundle / "unknown.npz"          # a pull checks the bytes of this file and never parses them
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
                rows.setdefault(name, []).append(seconds_of(partial(run, command, home)))
            shutil.rmtree(home)
            (folder / "copy").unlink()
        return rows


def run(command: list[str], home: Path) -> None:
    environment = os.environ | {"GRAFT_HOME": str(home)}
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)


if __name__ == "__main__":
    with reported():
        main()
