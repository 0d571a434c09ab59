"""The routes of the Open Inference Protocol beside `graft serve`'s own.

    python -m benchmarks.protocol --model BUNDLE --images FOLDER [--clients 32] [--seconds 60] [--turns 30]

One server answers the same image files by /v1/predict, and by /v2 with binary tensors, in turns, `--seconds` each in
all: images a second, and the server's processor time per image. The clients run on the same machine; on a busy machine
only the processor time is reliable.
"""

import json
import os
from pathlib import Path

import psutil

from benchmarks.command import begin
from benchmarks.predict import is_readable
from benchmarks.serve import Load, as_request, end, processor_s, rounded, start
from graft.errors import reported
from graft.model.classifier import Classifier
from graft.predict.sources import files_below


def main() -> None:
    options = begin(__doc__, model=Path, images=str, clients=32, seconds=60.0, turns=30)
    image_size = Classifier(options.model).image_size
    files = [Path(path).read_bytes() for path in files_below(options.images).images if is_readable(path, image_size)]
    server, port = start(options.model)
    try:
        ways = {"/v1/predict": list(map(as_request, files)),
                "/v2": [as_tensor(file, options.model.resolve().name) for file in files]}
        loads = {way: Load(port, requests, options.clients) for way, requests in ways.items()}
        speeds, costs = measure(loads, psutil.Process(server.pid), options.seconds / options.turns, options.turns)
    finally:
        end(server)
    print(f"{len(files)} images, {options.clients} clients, load of the machine {os.getloadavg()[0]:.1f}")
    for way, load in loads.items():
        failed = sum(status != 200 for status, _ in load.answers)
        print(f"{way:12} images a second: {rounded(speeds[way])}; processor time per image: {costs[way]:.2f} ms; "
              f"{len(load.answers)} answers, {failed} failed")
    print(f"images a second, /v2 / /v1   {sum(speeds['/v2']) / sum(speeds['/v1/predict']):.3f} (target: at least 0.97)")


def measure(loads: dict[str, Load], server: psutil.Process, seconds: float, turns: int
            ) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Images a second in each turn, and milliseconds of processor time per image, for each way."""
    for load in loads.values():
        load.run(seconds=2)
        load.answers.clear()
    speeds: dict[str, list[float]] = {way: [] for way in loads}
    used = dict.fromkeys(loads, 0.0)
    for turn in range(turns):
        for way, load in [*loads.items()][:: -1 if turn % 2 else 1]:
            answers, own = len(load.answers), processor_s(server)
            load.run(seconds=seconds)
            speeds[way].append((len(load.answers) - answers) / seconds)
            used[way] += processor_s(server) - own
    return speeds, {way: 1000 * own / len(loads[way].answers) for way, own in used.items()}


def as_tensor(image: bytes, model: str) -> bytes:
    """A request with the file in a tensor, in the protocol's binary extension."""
    tensor = {"name": "images", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(image) + 4}}
    head = json.dumps({"inputs": [tensor]}).encode()
    body = head + len(image).to_bytes(4, "little") + image
    return (f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
            f"Inference-Header-Content-Length: {len(head)}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


if __name__ == "__main__":
    with reported():
        main()
