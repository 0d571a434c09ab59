"""What `graft serve` adds to the bare runtime, side by side in one run.

    python -m benchmarks.serve --model BUNDLE --images FOLDER

The runtime with decoding on all cores, as one would write it by hand, and the server under concurrent clients with one
image a request, in turn for `--seconds` each: images a second, processor time an image, errors, latencies. The clients
run on the same machine and take their share of it; on a busy machine only the processor time can be believed. Then
requests go on until there were `--requests`; the server's memory must stay as it was.
"""

import argparse
import asyncio
import itertools
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import onnxruntime

from benchmarks.predict import by_hand, is_readable
from graft.model import bundle
from graft.model.classifier import Classifier
from graft.predict.sources import images_below

TURNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a bundle's folder")
    parser.add_argument("--images", required=True, help="a folder of images")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60, help="of each side in all")
    parser.add_argument("--requests", type=int, default=10_000, help="until memory is compared; 0 leaves that out")
    arguments = parser.parse_args()
    image_size = Classifier(arguments.model).image_size
    paths = [path for path in images_below(arguments.images) if is_readable(path, image_size)]
    print(f"{os.cpu_count()} cores, {len(paths)} images, {arguments.clients} clients")
    server, port = start(arguments.model)
    try:
        requests = [as_request(Path(path).read_bytes()) for path in paths]
        load = Load(port, requests, arguments.clients)
        load.run(seconds=2)                             # warm
        load.answers.clear()
        compare(load, server.pid, Path(arguments.model), paths, image_size, arguments.seconds)
        if arguments.requests:
            compare_memory(load, server.pid, arguments.requests)
    finally:
        server.terminate()
        server.wait()


def compare(load: "Load", pid: int, model: Path, paths: list[str], image_size: tuple[int, int], seconds: float) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")    # as graft does: it is the faster way
    session = onnxruntime.InferenceSession(str(model / bundle.MODEL), options, providers=["CPUExecutionProvider"])
    by_hand(session, paths[:64], image_size)
    bare, served, processor_ms = [], [], {"runtime + decoding": [], "server": [], "clients": []}
    for _ in range(TURNS):
        own = time.process_time()
        bare.append(measure_bare(session, paths, image_size, seconds / TURNS))
        processor_ms["runtime + decoding"].append(1000 * (time.process_time() - own) / bare[-1] / (seconds / TURNS))
        before, began, own, others = len(load.answers), time.perf_counter(), time.process_time(), processor_s(pid)
        load.run(seconds / TURNS)
        images = len(load.answers) - before
        served.append(images / (time.perf_counter() - began))
        processor_ms["server"].append(1000 * (processor_s(pid) - others) / images)
        processor_ms["clients"].append(1000 * (time.process_time() - own) / images)
    statuses = Counter(status for status, _ in load.answers)
    latencies = sorted(latency for _, latency in load.answers)
    print(f"images a second, runtime + decoding {statistics.mean(bare):7.1f}   turns: {rounded(bare)}")
    print(f"images a second, server             {statistics.mean(served):7.1f}   turns: {rounded(served)}")
    print(f"images a second, server / (runtime + decoding)  {sum(served) / sum(bare):.2f} (at least 0.80 wanted)")
    for name, each in processor_ms.items():
        print(f"processor time an image, {name:18} {statistics.mean(each):6.2f} ms   turns: {rounded(each)}")
    print(f"answers by status: {dict(statuses)}")
    percentiles = {p: 1000 * latencies[int(len(latencies) * p / 100)] for p in (50, 95, 99)}
    print("latency in ms: " + ", ".join(f"p{p} {each:.0f}" for p, each in percentiles.items()))


def measure_bare(session, paths: list[str], image_size: tuple[int, int], seconds: float) -> float:
    """Images a second."""
    began, images = time.perf_counter(), 0
    for start in itertools.cycle(range(0, len(paths), 128)):
        by_hand(session, paths[start:start + 128], image_size)
        images += len(paths[start:start + 128])
        if time.perf_counter() - began > seconds:
            return images / (time.perf_counter() - began)
    raise AssertionError("unreachable")


def compare_memory(load: "Load", pid: int, requests: int) -> None:
    marks = []
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        load.run(until=int(share * requests))
        marks.append(resident_mb(pid))
    print(f"server's memory after {requests // 5:,} to {len(load.answers):,} requests: {rounded(marks)} MB")


class Load:
    """Clients in a thread of their own, each with one connection and one request at a time."""

    def __init__(self, port: int, requests: list[bytes], clients: int):
        self._port, self._clients = port, clients
        self._requests = itertools.cycle(requests)
        self.answers: list[tuple[int, float]] = []          # status, seconds

    def run(self, seconds: float = float("inf"), until: int = sys.maxsize) -> None:
        """Send for so many seconds, or until there are so many answers."""
        thread = threading.Thread(target=lambda: asyncio.run(self._all(time.perf_counter() + seconds, until)))
        thread.start()
        thread.join()

    async def _all(self, deadline: float, until: int) -> None:
        await asyncio.gather(*(self._client(deadline, until) for _ in range(self._clients)))

    async def _client(self, deadline: float, until: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while time.perf_counter() < deadline and len(self.answers) < until:
            began = time.perf_counter()
            writer.write(next(self._requests))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1]))
            self.answers.append((int(head.split()[1]), time.perf_counter() - began))
        writer.close()


def as_request(image: bytes) -> bytes:
    return (b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(image), image))


def start(model: str) -> tuple[subprocess.Popen, int]:
    """`graft serve` as a process, once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "graft.cli", "serve", model, "--port", str(port)])
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except OSError:
            time.sleep(0.05)
    sys.exit("the server did not start")


def processor_s(pid: int) -> float:
    """Seconds that a process has used of all cores (see proc_pid_stat(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


def rounded(numbers: list[float]) -> str:
    return ", ".join(f"{number:.0f}" for number in numbers)


if __name__ == "__main__":
    main()
