"""`kill -9` at random moments of extract, transfer and finetune: does the next run end with the same bytes?

    python -m benchmarks.kills [--kills 20] [--seed 1]

A small copy of the project trains undisturbed, then again and again with four kills each time, at random moments of
random stages. Checkpoints every 0.3 s and small shards make it likely that a kill interrupts a write.
"""

import hashlib
import random
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import Project, write_some_digits
from benchmarks.timeline import seconds_of
from graft.errors import reported

STAGES = ("extract", "transfer", "choose", "finetune")
KILLS_A_ROUND = 4
STAGE = """
import runpy, sys
from pipeline.training import activations, fitting
fitting.CHECKPOINT_EVERY_S, activations.SHARD_BYTES = 0.3, 1
runpy.run_module("tasks." + sys.argv[1], run_name="__main__")
"""
PARAMS = {
    "data.images": "data/sample", "extract.backbone.image_size": [64, 64], "extract.views": 2, "transfer.epochs": 40,
    "transfer.patience": 40, "finetune.epochs": 6,
}


def prepare(folder: Path) -> Project:
    """A project of two digits, 120 images each, whose stages through split have run."""
    project = Project(folder, **PARAMS)
    write_some_digits(folder / "data/sample", "38", images=120, size_px=64)
    for stage in ("code", "validate", "split"):
        project.run("python", "-m", f"tasks.{stage}")
    return project


def finish(project: Project, stage: str) -> str:
    """Run one stage to its end. Returns its output."""
    return project.run(sys.executable, "-c", STAGE, stage).stdout


def forget(project: Project) -> None:
    for folder in (project.folder / ".graft", *(project.folder / "outputs" / stage for stage in STAGES)):
        shutil.rmtree(folder, ignore_errors=True)


def digests(project: Project) -> dict[str, str]:
    files = [file for stage in STAGES for file in sorted((project.folder / "outputs" / stage).iterdir())]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def kill_in(project: Project, stage: str, after_s: float) -> bool:
    """Start a stage and kill it after some seconds. Returns False if it had ended by then."""
    process = subprocess.Popen([sys.executable, "-c", STAGE, stage], cwd=project.folder, env=project.environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() == -9


def disturbed(project: Project, seconds: dict[str, float], chance: random.Random, kills: int) -> list[list[str]]:
    """Train once with some kills. Returns a table row for each."""
    forget(project)
    stages, rows = sorted(chance.choices(STAGES, k=kills), key=STAGES.index), []
    for stage in STAGES:
        caught = []
        for _ in range(stages.count(stage)):
            after_s = chance.uniform(0.3, 0.95) * seconds[stage]
            if kill_in(project, stage, after_s):
                caught.append(f"{after_s:.1f}")
            else:                           # the stage had ended: the machine is less busy than before
                seconds[stage] = after_s
        found = found_by(stage, finish(project, stage))
        rows += [[stage, after, found] for after in caught]
    return rows


def found_by(stage: str, output: str) -> str:
    """What the run after a kill found, from its output."""
    lines = [line for line in output.splitlines() if line.startswith(("continuing at", "activations: "))]
    if stage == "extract":
        return lines[0].removeprefix("activations: ").split(",")[0] if lines else "no view left to compute"
    return lines[0] if lines else "no checkpoint yet"


def main() -> None:
    options = begin(__doc__, kills=20, seed=1)
    chance, left, differing = random.Random(options.seed), options.kills, 0
    with TemporaryDirectory() as folder:
        project = prepare(Path(folder))
        seconds = {stage: seconds_of(lambda stage=stage: finish(project, stage)) for stage in STAGES}
        expected = digests(project)
        print("undisturbed:", ", ".join(f"{stage} {seconds[stage]:.0f} s" for stage in STAGES), "\n")
        print_head("stage", "killed after, s", "the run after the last kill", "files that differ")
        while left > 0:
            rows = disturbed(project, seconds, chance, min(left, KILLS_A_ROUND))
            other = sum(digests(project)[name] != digest for name, digest in expected.items())
            for row in rows:
                print_row(*row, other)
            left, differing = left - len(rows), differing + other
    print(f"\n{options.kills - left} kills, {differing} files differ from the undisturbed run")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    with reported():
        main()
