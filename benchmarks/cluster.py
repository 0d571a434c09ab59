"""Batch prediction from S3 on a Ray cluster: one worker of one core, two, and two of which one is killed now and then.

    python -m benchmarks.cluster MODEL IMAGES [--images 20000] [--seconds 20]

MODEL is a bundle's folder or an address in a registry; the images of the folder IMAGES are stored under as many names
as asked for. A hundredth of them is predicted first: the driver's memory must not grow with the images. Each worker has
a core of its own, which it shares with the store (Ceph's gateway, `apt-get install --no-install-recommends radosgw
ceph-mon ceph-osd`) and with the driver. Every `--seconds` one worker is killed, whose processor time is then not known.
"""

import itertools
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import ROOT
from graft.errors import reported
from graft.predict.find import find_model
from graft.predict.sources import files_below

sys.path.insert(0, str(ROOT / "tests"))     # its S3 server

DRIVER = """
import psutil, re, resource, sys, time
from pathlib import Path
from pipeline.cluster.batch import Batch

source, output, model = sys.argv[1:]
batch, began = Batch(source, output, Path(model)), time.monotonic()
with batch.predict(batch.pending) as shards:
    for _ in shards:
        pass
    workers_s = sum(sum(each.cpu_times()[:2]) for each in psutil.process_iter(["cmdline"])
                    if (each.info["cmdline"] or [""])[0].startswith("ray::"))
seconds = time.monotonic() - began
batch.finish()
used = resource.getrusage(resource.RUSAGE_SELF)     # whose ru_maxrss would count what the process before it held
peak_kb = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(seconds, peak_kb / 1e3, workers_s, used.ru_utime + used.ru_stime)
"""
OTHERS = {"Ray": ("raylet", "gcs_server"), "store": ("radosgw", "ceph-osd")}      # programs


def main() -> None:
    options = begin(__doc__, "model", "folder", images=20_000, seconds=20.0)
    import pytest
    import s3_server

    _, model = find_model(str(options.model), None)
    plan = (("/00", 1, None), ("", 1, None), ("", 2, None), ("", 2, options.seconds))
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        source = s3_server.use(patch, s3_server.radosgw())
        store(source, options.folder, options.images)
        print_head("workers", "images", "s", "images/s", "peak memory of the driver, MB",
                   *(f"processor s per 1,000 images: {name}" for name in ("workers", "driver", *OTHERS)), "sha256")
        for part, workers, kill_every_s in plan:
            output = Path(folder, "out.csv")
            with cluster(workers) as address, killing(kill_every_s) as killed:
                before = processor_s()
                seconds, megabytes, *spent = predict(address, source + part, output, model)
                spent += [after - earlier for after, earlier in zip(processor_s(), before)]
            table = output.read_bytes()
            images = table.count(b"\n") - 1
            name = f"{workers}, killed {len(killed)} times" if kill_every_s else workers
            print_row(name, images, f"{seconds:.1f}", f"{images / seconds:.0f}", f"{megabytes:.0f}",
                      *(f"{1000 * each / images:.2f}" for each in spent), sha256(table).hexdigest()[:8])


def processor_s() -> list[float]:
    """Seconds of processor time so far of the programs of each of `OTHERS`."""
    import psutil

    spent: Counter = Counter()
    for each in psutil.process_iter(["name", "cpu_times"]):
        spent[each.info["name"]] += sum(each.info["cpu_times"][:2])
    return [sum(spent[program] for program in programs) for programs in OTHERS.values()]


def store(source: str, folder: Path, images: int) -> None:
    """Store the images of a folder, again and again, under `images` names."""
    from graft.store import open_store

    contents = itertools.cycle([Path(path).read_bytes() for path in files_below(str(folder)).images])
    keys = (f"{number % 100:02}/{number:07}.jpg" for number in range(images))
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(open_store(source).replace, keys, itertools.islice(contents, images)):
            pass


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a Ray cluster of so many machines, each bound to a core of this one."""
    import psutil
    from ray.cluster_utils import Cluster

    process, ray = psutil.Process(), Cluster()
    cores = process.cpu_affinity()
    try:
        for core in cores[:workers]:
            process.cpu_affinity([core])        # which the machine's processes inherit
            ray.add_node(num_cpus=1, object_store_memory=200_000_000, include_dashboard=False)
        process.cpu_affinity(cores)
        yield ray.address
    finally:
        process.cpu_affinity(cores)
        ray.shutdown()


@contextmanager
def killing(every_s: float | None) -> Iterator[list[int]]:
    """Kill a worker of the cluster every so many seconds; gives their process numbers."""
    killed, ended = [], threading.Event()
    thread = threading.Thread(target=partial(_kill, every_s, killed, ended))
    if every_s:
        thread.start()
    try:
        yield killed
    finally:
        ended.set()
        if every_s:
            thread.join()


def _kill(every_s: float, killed: list[int], ended: threading.Event) -> None:
    import psutil

    while not ended.wait(every_s):
        if workers := [each for each in psutil.process_iter(["cmdline"])
                       if (each.info["cmdline"] or [""])[0].startswith("ray::_work")]:
            worker = random.choice(workers)
            worker.kill()
            killed.append(worker.pid)


def predict(address: str, source: str, output: Path, model: Path) -> list[float]:
    """Predict in a process of its own: its seconds, peak memory in MB, and the processor time of workers and driver."""
    done = subprocess.run([sys.executable, "-c", DRIVER, source, output, model], check=True, cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, env=os.environ | {"RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)})
    return list(map(float, done.stdout.splitlines()[-1].split()))       # Ray may have said something before


if __name__ == "__main__":
    with reported():
        main()
