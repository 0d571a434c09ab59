"""Honest clients of `graft serve`, first alone, then while an attacker sends the costliest pictures that are accepted.

    python -m benchmarks.fairness [--seconds 60] [--clients 4]

Honest clients, each with an address of its own, ask for a picture of 12 megapixels, each as soon as the last one was
answered and half a second has passed. The attacker keeps eight forms of eight pictures under way, of the kinds that
take longest. Then the server is left alone for a minute, and gets SIGTERM.
"""

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from benchmarks.command import begin
from benchmarks.processes import end
from benchmarks.serve import start
from graft.errors import reported

sys.path.append(str(Path(__file__).parent.parent / "tests"))        # the makers of hostile files

PAUSE_S, REST_S, FORMS, IN_A_FORM = 0.5, 60, 8, 8
ATTACKER = "import sys; from benchmarks.fairness import attack; attack(int(sys.argv[1]))"


def main() -> None:
    options = begin(__doc__, seconds=60.0, clients=4)
    for name, is_held, happened in measure(options.seconds, options.clients):
        print(f"{name}: {happened}{'' if is_held else '   NOT HELD'}")


def measure(seconds: float, clients: int) -> list[tuple[str, bool, str]]:
    """What was measured, whether it is as promised, and the figures."""
    from tiny_bundle import make_bundle

    with TemporaryDirectory() as folder:
        process, port = start(make_bundle(Path(folder, "model")))
        try:
            quiet = _ask_for(port, seconds / 3, clients)
            before = memory_mb(process.pid)
            attacker = subprocess.Popen([sys.executable, "-c", ATTACKER, str(port)])
            time.sleep(5)
            loaded = _ask_for(port, seconds, clients)
            end(attacker, 1)
            began = time.monotonic()
            return [*_latencies(quiet, loaded), _memory(process.pid, before, began), _stop(process)]
        finally:
            end(process, 1)


def _latencies(quiet: list[tuple[int, float]], loaded: list[tuple[int, float]]) -> list[tuple[str, bool, str]]:
    statuses = Counter(status for status, _ in loaded)
    alone, beside = (_p99([each for _, each in answers]) for answers in (quiet, loaded))
    told = ", ".join(f"{each} times {status}" for status, each in statuses.items())
    return [("honest clients: answers", set(statuses) == {200}, told),
            ("honest clients: p99", beside <= 3 * alone, f"{1000 * beside:.0f} ms, alone {1000 * alone:.0f} ms")]


def _memory(pid: int, before: float, began: float) -> tuple[str, bool, str]:
    time.sleep(max(0.0, began + REST_S - time.monotonic()))
    growth = memory_mb(pid) - before
    return "memory a minute later", growth < 100, f"{growth:+.0f} MB"


def _stop(process) -> tuple[str, bool, str]:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    return "SIGTERM", time.monotonic() - began < 35, f"{time.monotonic() - began:.1f} s"


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))]


def memory_mb(pid: int) -> float:
    """The memory of a process and of those that it started."""
    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / 1e6


def _ask_for(port: int, seconds: float, clients: int) -> list[tuple[int, float]]:
    """The status and the seconds of each answer to honest clients."""
    from intake_faults import encode
    from PIL import Image

    photograph = encode(Image.linear_gradient("L").resize((4000, 3000)).convert("RGB"), "JPEG")
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(_client, port, f"127.0.1.{number + 1}", photograph, until) for number in range(clients)]
        return [answer for each in asked for answer in each.result()]


def _client(port: int, address: str, image: bytes, until: float) -> list[tuple[int, float]]:
    answers = []
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address, trust_env=False), timeout=60) as client:
        while (began := time.monotonic()) < until:
            reply = client.post(f"http://127.0.0.1:{port}/v1/predict", content=image,
                                headers={"Content-Type": "image/jpeg"})
            answers.append((reply.status_code, time.monotonic() - began))
            time.sleep(PAUSE_S)
    return answers


def _worst_forms() -> list[list]:
    from test_decoding_budget import colour_scans, grey_png, scans

    worst: list[Callable[[], bytes]] = [
        lambda: scans(10, 9900), lambda: colour_scans(8000), lambda: grey_png(7900, 7900, 6, 8, 4),
        lambda: grey_png(10_000, 10_000)]
    return [[("images", ("a", data))] * IN_A_FORM for data in [make() for make in worst]]


def attack(port: int) -> None:
    """Keep forms under way for ever; in a process of its own, so that it does not hold up the honest clients."""
    forms = itertools.cycle(_worst_forms())

    def send() -> None:
        while True:
            with suppress(httpx.TransportError):
                httpx.post(f"http://127.0.0.1:{port}/v1/predict", files=next(forms), timeout=40, trust_env=False)

    for _ in range(FORMS):
        threading.Thread(target=send).start()


if __name__ == "__main__":
    with reported():
        main()
