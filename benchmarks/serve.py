"""`graft serve` beside the bare runtime.

    python -m benchmarks.serve --model BUNDLE --images FOLDER [--clients 32] [--seconds 60] [--requests 10000]

The runtime with decoding on all cores, written by hand, and the server under concurrent clients with one image a
request take turns, `--seconds` each in all: images a second, processor time per image, errors and latencies. The
clients run on the same machine and use part of it; on a busy machine only the processor time is reliable. Then requests
continue up to `--requests` (0: none), during which the server's memory must not grow. At last, a server that keeps
figures and images (`--log`, `--collect`) takes turns with one that does not, `--seconds` each.
"""

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
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.command import begin
from benchmarks.predict import bare_session, by_hand, is_readable
from benchmarks.processes import free_port
from graft import registry
from graft.errors import reported
from graft.model.classifier import Classifier
from graft.predict.sources import files_below

TURNS = 3


def main() -> None:
    options = begin(__doc__, model=Path, images=str, clients=32, seconds=60.0, requests=10_000)
    image_size = Classifier(options.model).image_size
    paths = [path for path in files_below(options.images).images if is_readable(path, image_size)]
    print(f"{len(paths)} images, {options.clients} clients")
    server, port = start(options.model)
    try:
        requests = [as_request(Path(path).read_bytes()) for path in paths]
        load = Load(port, requests, options.clients)
        load.run(seconds=2)                             # warm-up
        load.answers.clear()
        compare(load, psutil.Process(server.pid), options.model, paths, image_size, options.seconds)
        if options.requests:
            compare_memory(load, psutil.Process(server.pid), options.requests)
    finally:
        end(server)
    compare_keeping(options.model, requests, options.clients, options.seconds)


def compare_keeping(model: Path, requests: list[bytes], clients: int, seconds: float) -> None:
    """A server that keeps figures and images beside one that does not."""
    with TemporaryDirectory() as folder:
        os.environ["GRAFT_HOME"] = f"{folder}/home"
        registry.publish(model, "served", f"{folder}/registry")
        named = ("served", "--registry", f"{folder}/registry")
        servers = [start(*named), start(*named, "--log", f"{folder}/log", "--collect", f"{folder}/images")]
        try:
            loads = [Load(port, requests, clients) for _, port in servers]
            for load in loads:
                load.run(seconds=2)
                load.answers.clear()
            before = [processor_s(psutil.Process(server.pid)) for server, _ in servers]
            for _, load in product(range(2 * TURNS), loads):
                load.run(seconds=seconds / (2 * TURNS))
            used = [processor_s(psutil.Process(server.pid)) - own for (server, _), own in zip(servers, before)]
            kept = len(list(Path(folder, "images").glob("*.json")))
        finally:
            for server, _ in servers:
                end(server)
        windows = len(list(Path(folder, "log").glob("served/*/*.json")))
    plain, keeping = ([seconds for _, seconds in load.answers] for load in loads)
    p99 = [1000 * sorted(each)[int(len(each) * 0.99)] for each in (plain, keeping)]
    print(f"images a second, keeping / not   {len(keeping) / len(plain):.2f} (target: at least 0.97)")
    print(f"p99 in ms, keeping / not   {p99[1]:.0f} / {p99[0]:.0f} = {p99[1] / p99[0]:.2f} (target: at most 1.05)")
    costs = [1000 * own / len(load.answers) for own, load in zip(used, loads)]
    print(f"processor time per image, keeping / not   {costs[1]:.2f} ms / {costs[0]:.2f} ms")
    print(f"kept: {windows} windows, {kept} images of {len(requests)}")


def compare(load: "Load", server: psutil.Process, model: Path, paths: list[str], image_size: tuple[int, int],
            seconds: float) -> None:
    session = bare_session(model)
    by_hand(session, paths[:64], image_size)
    bare, served, processor_ms = [], [], {"runtime + decoding": [], "server": [], "clients": []}
    for _ in range(TURNS):
        own = time.process_time()
        bare.append(measure_bare(session, paths, image_size, seconds / TURNS))
        processor_ms["runtime + decoding"].append(1000 * (time.process_time() - own) / bare[-1] / (seconds / TURNS))
        before, began, own, others = len(load.answers), time.perf_counter(), time.process_time(), processor_s(server)
        load.run(seconds / TURNS)
        images = len(load.answers) - before
        served.append(images / (time.perf_counter() - began))
        processor_ms["server"].append(1000 * (processor_s(server) - others) / images)
        processor_ms["clients"].append(1000 * (time.process_time() - own) / images)
    statuses = Counter(status for status, _ in load.answers)
    latencies = sorted(latency for _, latency in load.answers)
    print(f"images a second, runtime + decoding {statistics.mean(bare):7.1f}   turns: {rounded(bare)}")
    print(f"images a second, server             {statistics.mean(served):7.1f}   turns: {rounded(served)}")
    print(f"images a second, server / (runtime + decoding)  {sum(served) / sum(bare):.2f} (target: at least 0.80)")
    for name, each in processor_ms.items():
        print(f"processor time per image, {name:18} {statistics.mean(each):6.2f} ms   turns: {rounded(each)}")
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


def compare_memory(load: "Load", server: psutil.Process, requests: int) -> None:
    marks = []
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        load.run(until=int(share * requests))
        marks.append(server.memory_info().rss / 1e6)
    print(f"server's memory after {requests // 5:,} to {len(load.answers):,} requests: {rounded(marks)} MB")


class Load:
    """Clients in their own thread, each with one connection and one request at a time."""

    def __init__(self, port: int, requests: list[bytes], clients: int):
        self._port, self._clients = port, clients
        self._requests = itertools.cycle(requests)
        self.answers: list[tuple[int, float]] = []          # status, seconds

    def run(self, seconds: float = float("inf"), until: int = sys.maxsize) -> None:
        """Send requests for some seconds, or until there are `until` answers."""
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


def start(*arguments: str | Path) -> tuple[subprocess.Popen, int]:
    """Start `graft serve` and wait until its port is open. Returns the process and the port."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "graft.cli", "serve", *arguments, "--port", str(port)])
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except OSError:
            time.sleep(0.05)
    sys.exit("the server did not start")


def end(server: subprocess.Popen) -> None:
    server.terminate()
    server.wait()


def processor_s(process: psutil.Process) -> float:
    """Processor seconds that a process has used, summed over all cores."""
    times = process.cpu_times()
    return times.user + times.system


def rounded(numbers: list[float]) -> str:
    return ", ".join(f"{number:.0f}" for number in numbers)


if __name__ == "__main__":
    with reported():
        main()
