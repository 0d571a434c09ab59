"""What Prefect and DVC add to a run, next to the stages' own seconds, all in one run on one copy of the project.

    python -m benchmarks.overhead [--rounds 3]

A full run forces every stage; its own seconds are those of the same commands run one after the other without DVC.
"""

import argparse
import statistics
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from ruamel.yaml import YAML

from benchmarks.scratch import ROOT, Project

PORT = 8651
SMALL = {"extract.views": 1, "extract.backbone.image_size": [32, 32], "transfer.epochs": 1, "finetune.epochs": 1}


def seconds(action) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


@contextmanager
def server(project: Project):
    """A running Prefect server on a loopback port."""
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(PORT)]
    process = subprocess.Popen(command, cwd=project.folder, env=project.environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(240):
            time.sleep(0.5)
            try:
                urlopen(f"http://127.0.0.1:{PORT}/api/health").close()
                break
            except OSError:
                continue
        yield {"PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api"}
    finally:
        process.terminate()
        process.wait()


def measure(project: Project, rounds: int) -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    flow = ["python", "-m", "flows.training", "--no-publish"]

    def own() -> float:
        return seconds(lambda: [project.run(*stage["cmd"].split()) for stage in stages.values()])

    def forced(**environment) -> float:
        (project.folder / "dvc.lock").unlink(missing_ok=True)
        project.run("rm", "-rf", ".dvc/cache/runs")
        return seconds(lambda: project.run(*flow, **environment))

    def nothing(**environment) -> float:
        return seconds(lambda: project.run(*flow, **environment))

    project.run(*flow)          # a used PREFECT_HOME, filled caches
    print("| | stages' own, s | run, s | added, s |\n|---|---:|---:|---:|")
    for label, context in (("ephemeral server", None), ("running server", server(project))):
        with context or _nothing() as environment:
            rows = [(own(), forced(**environment), nothing(**environment)) for _ in range(rounds)]
            commands, full, idle = (statistics.median(column) for column in zip(*rows))
            print(f"| full run, {label} | {commands:.1f} | {full:.1f} | {full - commands:.1f} |")
            print(f"| nothing to do, {label} | 0.0 | {idle:.1f} | {idle:.1f} |", flush=True)


@contextmanager
def _nothing():
    yield {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        measure(Project(Path(folder), **SMALL), arguments.rounds)


if __name__ == "__main__":
    main()
