"""Seconds that Prefect and DVC add to a run, beside the stages' own, all from one run on one copy of the project.

    python -m benchmarks.overhead [--rounds 3]

A full run executes every stage; its own seconds are those of the same commands run one after the other without DVC.
"""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.prefect_server import Server
from benchmarks.scratch import ROOT, Project
from benchmarks.timeline import seconds_of
from graft.errors import reported

SMALL = {"extract.views": 1, "extract.backbone.image_size": [32, 32], "transfer.epochs": 1, "finetune.epochs": 1}
COMMANDS = [stage["cmd"].split() for stage in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].values()]
FLOW = ["python", "-m", "flows.training", "--no-publish"]


def measure(project: Project, rounds: int, server: str, **environment: str) -> None:
    """Print the medians with one kind of server."""
    def own() -> float:
        return seconds_of(lambda: [project.run(*command) for command in COMMANDS])

    def flow() -> float:
        return seconds_of(lambda: project.run(*FLOW, **environment))

    def full() -> float:
        (project.folder / "dvc.lock").unlink(missing_ok=True)
        project.run("rm", "-rf", ".dvc/cache/runs")
        return flow()

    rows = [(own(), full(), flow()) for _ in range(rounds)]
    commands, run, idle = (statistics.median(column) for column in zip(*rows))
    print_row(f"full run, {server}", f"{commands:.1f}", f"{run:.1f}", f"{run - commands:.1f}")
    print_row(f"nothing to do, {server}", "0.0", f"{idle:.1f}", f"{idle:.1f}")


def main() -> None:
    options = begin(__doc__, rounds=3)
    with TemporaryDirectory() as folder:
        project = Project(Path(folder, "project"), **SMALL)
        project.run(*FLOW)          # fills the caches and creates Prefect's database
        print_head("", "stages' own, s", "run, s", "added, s")
        measure(project, options.rounds, "embedded server")
        server = Server(Path(folder, "prefect"))
        try:
            measure(project, options.rounds, "running server", PREFECT_API_URL=server.api)
        finally:
            server.stop()


if __name__ == "__main__":
    with reported():
        main()
