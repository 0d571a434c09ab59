"""`kill -9` at random moments of extract, transfer and finetune: does the next run end with the same bytes?

    python -m benchmarks.kills [--kills 20] [--seed 1]

A small copy of the project is trained undisturbed, then again and again, with four kills at random moments of random
stages each time. Checkpoints are written every 0.3 s and shards are small, so that there is much to be caught in.
"""

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.scratch import Project
from tasks.sample import write_digits

STAGES = ("extract", "transfer", "finetune")
KILLS_A_ROUND = 4
STAGE = """
import runpy, sys
from pipeline.training import activations, fitting
fitting.CHECKPOINT_EVERY_S, activations.SHARD_BYTES = 0.3, 1
runpy.run_module("tasks." + sys.argv[1], run_name="__main__")
"""
PARAMS = {
    "data.images": "data/sample", "extract.backbone.image_size": [64, 64], "extract.views": 2, "transfer.epochs": 40,
    "transfer.patience": 40, "finetune.epochs": 6, "finetune.patience": 6,
}


def prepare(folder: Path) -> Project:
    """A project whose split is done: two digits, 120 images each."""
    project = Project(folder, **PARAMS)
    write_digits(folder / "all", size_px=64)
    for digit in "38":
        shutil.copytree(folder / "all" / digit, folder / "data/sample" / digit)
        for image in sorted((folder / "data/sample" / digit).iterdir())[120:]:
            image.unlink()
    for stage in ("validate", "split"):
        project.run("python", "-m", f"tasks.{stage}")
    return project


def start(project: Project, stage: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", STAGE, stage], cwd=project.folder, env=project.environment(),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(project: Project, stage: str) -> tuple[float, str]:
    """Run one stage to its end. Returns its seconds and what it printed."""
    began = time.monotonic()
    process = start(project, stage)
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{stage} exited with {process.returncode}:\n{output}")
    return time.monotonic() - began, output


def forget(project: Project) -> None:
    for folder in (project.folder / ".graft", *(project.folder / "outputs" / stage for stage in STAGES)):
        shutil.rmtree(folder, ignore_errors=True)


def digests(project: Project) -> dict[str, str]:
    files = [file for stage in STAGES for file in sorted((project.folder / "outputs" / stage).iterdir())]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def kill_in(project: Project, stage: str, after_s: float) -> bool:
    """Start a stage and kill it. Returns whether it still ran then."""
    process = start(project, stage)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode == -9


def disturbed(project: Project, seconds: dict[str, float], chance: random.Random, kills: int) -> list[list[str]]:
    """One training with some kills. Returns a row of the table for each."""
    forget(project)
    stages, rows = sorted(chance.choices(STAGES, k=kills), key=STAGES.index), []
    for stage in STAGES:
        caught = []
        for _ in range(stages.count(stage)):
            after_s = chance.uniform(0.3, 0.95) * seconds[stage]
            if kill_in(project, stage, after_s):
                caught.append(f"{after_s:.1f}")
            else:                           # it had ended: the machine is faster by now, or less busy
                seconds[stage] = after_s
        _, output = finish(project, stage)
        rows += [[stage, after, begun_with(stage, output)] for after in caught]
    return rows


def begun_with(stage: str, output: str) -> str:
    """What a run that followed a kill found."""
    said = [line for line in output.splitlines() if line.startswith(("continuing at", "activations: "))]
    if stage == "extract":
        return said[0].removeprefix("activations: ").split(",")[0] if said else "no view left to compute"
    return said[0] if said else "no checkpoint yet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, left, differing = random.Random(arguments.seed), arguments.kills, 0
    with TemporaryDirectory() as folder:
        project = prepare(Path(folder))
        seconds = {stage: finish(project, stage)[0] for stage in STAGES}
        expected = digests(project)
        print("undisturbed:", ", ".join(f"{stage} {seconds[stage]:.0f} s" for stage in STAGES), "\n")
        print("| stage | killed after, s | the run after the last kill | files that differ |\n|---|---:|---|---:|")
        while left > 0:
            rows = disturbed(project, seconds, chance, min(left, KILLS_A_ROUND))
            other = sum(digests(project)[name] != digest for name, digest in expected.items())
            for row in rows:
                print("| " + " | ".join([*row, str(other)]) + " |", flush=True)
            left, differing = left - len(rows), differing + other
    print(f"\n{arguments.kills - left} kills, {differing} files differ from the undisturbed run")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
