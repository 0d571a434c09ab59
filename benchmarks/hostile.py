"""Attack Graft, and print what held: a row for each attempt, and the sums by area.

    python -m benchmarks.hostile [inputs] [images] [server] [models] [fairness]

inputs      addresses, JSON, YAML, names, objects of a registry, files of .graft and raw HTTP: a row for each kind
images      costly files, each in a fresh process: at most 5 s of processor time and 500 MB besides the file
server      what a client sends or does not read, while another one asks: that one is answered, memory comes back, and
            SIGTERM ends the server
models      versions that answer NaN, never end or want all memory, promoted while a server answers
fairness    honest clients while another sends the costliest pictures for a minute: see `benchmarks.fairness`
"""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.command import run_parts
from benchmarks.fairness import memory_mb
from benchmarks.markdown import print_head, print_row
from benchmarks.processes import end
from benchmarks.serve import start
from graft import registry
from graft.errors import reported

sys.path.append(str(Path(__file__).parent.parent / "tests"))        # the makers of hostile files

PROCESSOR_S, MEMORY_MB, GROWTH_MB, GRACE_S = 5, 500, 100, 35
IN_A_PROCESS = """
import sys, time
from graft.images import UnreadableImage, read_image
peak_mb = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1000
data = open(sys.argv[1], "rb").read()
before, began = peak_mb(), time.process_time()
try:
    read_image(data, (224, 224))
    said = "read"
except UnreadableImage as reason:
    said = str(reason)
print(time.process_time() - began, peak_mb() - before, said, sep="|")
"""


def main() -> None:
    run_parts(__doc__ or "", inputs=inputs, images=images, server=server, models=models, fairness=fairness)


def report(area: str, attempts: Iterator[tuple[str, bool, str]]) -> None:
    """Print a row for each `(attempt, whether Graft held, what happened)`, and the sum."""
    print_head(area, "held", "what happened")
    held = []
    for name, is_held, happened in attempts:
        held.append(is_held)
        print_row(name, "yes" if is_held else "NO", happened)
    print_row(f"**{area}**", f"{sum(held)} of {len(held)}", "")
    print()


def inputs() -> None:
    from benchmarks.hostile_inputs import attempts

    print_head("inputs", "held", "those that did not")
    held: dict[str, list[bool]] = {}
    failed: dict[str, list[str]] = {}
    for kind, name, holds in attempts():
        held.setdefault(kind, []).append(_holds(holds))
        failed.setdefault(kind, []).extend([] if held[kind][-1] else [name])
    for kind, each in held.items():
        print_row(kind, f"{sum(each)} of {len(each)}", ", ".join(failed[kind]))
    every = [each for kind in held.values() for each in kind]
    print_row("**inputs**", f"{sum(every)} of {len(every)}", "")
    print()


def _holds(holds: Callable[[], bool]) -> bool:
    from benchmarks.hostile_inputs import Hangs

    try:
        return holds()
    except (Exception, Hangs) as error:     # noqa: BLE001 - any other end is one with a traceback
        print(f"{error!r:.200}", file=sys.stderr)
        return False


def fairness() -> None:
    from benchmarks.fairness import measure

    report("fairness", iter(measure(seconds=60, clients=4)))


def images() -> None:
    from intake_faults import FAULTS
    from test_decoding_budget import TOO_COSTLY, colour_scans, grey_png, scans

    largest = {"100 MP of grey": grey_png(10_000, 10_000), "62 MP with opacity": grey_png(7900, 7900, 6, 8, 4),
               "20 scans of 98 MP": scans(10, 9900), "64 MP in colour scans": colour_scans(8000)}
    bombs = {name: data for name, (data, _) in FAULTS.items() if name.startswith("bomb")}
    report("images", map(_decode, [*bombs.items(), *((name, data) for name, (data, _) in TOO_COSTLY.items()),
                                   *largest.items()]))


def _decode(named: tuple[str, bytes]) -> tuple[str, bool, str]:
    name, data = named
    with TemporaryDirectory() as folder:
        Path(folder, "image").write_bytes(data)
        command = [sys.executable, "-c", IN_A_PROCESS, Path(folder, "image")]
        run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        return name, False, run.stderr[-100:]
    seconds, megabytes, said = run.stdout.strip().split("|", 2)
    held = float(seconds) <= PROCESSOR_S and float(megabytes) <= 1.1 * MEMORY_MB
    return name, held, f"{float(seconds):.1f} s, {float(megabytes):.0f} MB: {said[:60]}"


def server() -> None:
    report("server", map(_attack, ATTACKS))


def _attack(name: str) -> tuple[str, bool, str]:
    """Attack a fresh server for some seconds while an honest client asks, then end it."""
    from tiny_bundle import make_bundle, make_images

    with TemporaryDirectory() as folder:
        image = (make_images(Path(folder, "images"), images=1) / "red/00.png").read_bytes()
        process, port = start(make_bundle(Path(folder, "model")))
        try:
            _ask(port, image)
            before = memory_mb(process.pid)
            with ThreadPoolExecutor(1) as attacker:
                attack = attacker.submit(ATTACKS[name], port)
                time.sleep(0.5)
                statuses = [_ask(port, image)]
            with contextlib.suppress(OSError, httpx.TransportError):        # the server ended the connection
                attack.result()
            statuses.append(_ask(port, image))
            growth, began = memory_mb(process.pid) - before, time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(GRACE_S)
            took = time.monotonic() - began
            held = statuses == [200, 200] and growth < GROWTH_MB
            return name, held, f"answers {statuses}, {growth:+.0f} MB, SIGTERM took {took:.1f} s"
        except (subprocess.TimeoutExpired, httpx.TransportError) as error:
            return name, False, repr(error)
        finally:
            end(process, 1)


def _ask(port: int, image: bytes) -> int:
    """The status for an honest client, which has another address than the attacker."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2", trust_env=False)
    with httpx.Client(transport=transport, timeout=20) as client:
        url = f"http://127.0.0.1:{port}/v1/predict"
        return client.post(url, content=image, headers={"Content-Type": "image/png"}).status_code


def _flood(begin: bytes, piece: bytes) -> Callable[[int], None]:
    """Send a beginning, then a piece over and over, up to 50 MB in 10 s."""
    def attack(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(begin)
            until = time.monotonic() + 10
            for _ in range(50_000_000 // len(piece)):
                sock.sendall(piece)
                if time.monotonic() > until:
                    return

    return attack


def _form(name: str) -> Callable[[int], None]:
    """Send a form with eight copies of a costly image."""
    def attack(port: int) -> None:
        from test_decoding_budget import TOO_COSTLY

        files = [("images", ("a", TOO_COSTLY[name][0]))] * 8
        httpx.post(f"http://127.0.0.1:{port}/v1/predict", files=files, timeout=60, trust_env=False)

    return attack


def _slow_bodies(port: int) -> None:
    with contextlib.ExitStack() as kept:
        socks = [kept.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(128)]
        for sock in socks:
            sock.sendall(POST + b"Content-Length: 1000\r\n\r\nx")
        time.sleep(5)


POST = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ATTACKS: dict[str, Callable[[int], None]] = {
    "trailers": _flood(CHUNKED + b"0\r\n", b"a:\r\n" * 16_000),
    "chunks of one byte": _flood(CHUNKED, b"1\r\nx\r\n" * 10_000),
    "extensions of a chunk": _flood(CHUNKED + b"1;", b"x" * 60_000),
    "requests that wait": _flood(b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000),
    "answers that nobody reads": _flood(b"", b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"),
    "128 slow bodies": _slow_bodies,
    **{name: _form(name) for name in ("a tile of 1.6 GB", "100 scans of a JPEG", "opacity")},
}


def models() -> None:
    from test_model_trial import endless_bundle, huge_bundle, nan_bundle

    report("models", map(_promote, [endless_bundle, huge_bundle, nan_bundle]))


def _promote(make: Callable[[Path], Path]) -> tuple[str, bool, str]:
    """Promote a bad version in a registry of its own, whose server must keep the good one and say why."""
    from live_server import live_server
    from tiny_bundle import make_bundle

    with TemporaryDirectory() as folder:
        store = f"{folder}/registry"
        for bundle in (make_bundle(Path(folder, "good")), make(Path(folder, "bad"))):
            registry.publish(bundle, "m", store)
        registry.promote("m@1", registry=store)
        with live_server("m", store, poll_s=0.1) as client:
            registry.promote("m@2", registry=store)
            until = time.monotonic() + 400
            while "not put to work" not in (metrics := client.get("/metrics").text) and time.monotonic() < until:
                time.sleep(0.2)
            now = client.get("/readyz").json()["model"]
    return make.__name__, now == "m@1" and "not put to work" in metrics, f"{now} is served"


if __name__ == "__main__":
    with reported():
        main()
