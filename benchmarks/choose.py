"""How well Graft chooses, on the same splits and the same frozen backbone as what it is compared with.

    python -m benchmarks.choose DATA WEIGHTS [--sets clothing satellite …] [--splits 5] [--grid]

Graft runs all its stages with its defaults. Test accuracy is compared with the better of two baselines: scikit-learn's
logistic regression on pooled features, standardized, plain and mirrored, with C chosen on val, then fitted to train and
val: one on the last level, one on all levels. The forecast for twice the images is checked on random halves. `--grid`
also trains every setting of a grid of five cuts and three rates: what accuracy does choosing lose, and how many forward
passes does it save? That takes hours. DATA holds a folder for each set, with a folder per class; WEIGHTS holds Keras's
ImageNet weights.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks import inputs
from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import Project
from graft.errors import reported
from pipeline.probing.comparison import chance_of_gain

SETS = ("ants_bees", "cats_dogs", "clothing", "flowers", "glasses", "rice_leaf", "satellite", "sign_digits")
DEFAULTS = {
    "extract.backbone.cut": "auto", "finetune.learning_rate": "auto", "validate.near_copies": "different",
    "validate.max_label_conflicts": 1000, "validate.max_copies_share": 1.0,
}


def side(project: Project, name: str):
    """What a function of `benchmarks.choose_sides` answers in the project."""
    return json.loads(project.run(sys.executable, "-m", "benchmarks.choose_sides", name).stdout.splitlines()[-1])


def run(images: Path, weights: Path, splits: int, with_grid: bool):
    """Yield what came out for each split of a set: a dictionary, see `print_split`."""
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), **{**inputs.mobilenet(weights), "data.images": str(images), **DEFAULTS})
        for number in range(splits):
            project.change({"split.salt": f"graft-{number}"})
            project.run("dvc", "repro", "evaluate")
            outputs = Path(folder, "outputs")
            choice, finetune = (json.loads((outputs / name).read_text())
                                for name in ("choose/choice.json", "finetune/summary.json"))
            answers = pd.read_csv(outputs / "evaluate/predictions.csv", dtype=str, keep_default_na=False)
            right = side(project, "baselines") | {"graft": (answers["label"] == answers["predicted"]).tolist()}
            yield {"right": {name: np.array(each) for name, each in right.items()}, "choice": choice,
                   "kept": finetune["kept"], "grid": side(project, "grid") if with_grid else None,
                   "held": side(project, "forecasts")}


def print_split(name: str, number: int, found: dict) -> None:
    """A row of the first table."""
    right, choice = found["right"], found["choice"]
    setting = f"{choice['cut']} {choice['learning_rate']:g}" if choice["cut"] else "head alone"
    print_row(name, number, len(right["graft"]), *(f"{right[each].mean():.1%}" for each in ("last", "all", "graft")),
              choice["quadrant"], setting, found["kept"], f"{choice['passes']:.0f}",
              f"{sum(found['held'])} of {len(found['held'])}")


def print_set(name: str, splits: list[dict]) -> None:
    """A row of the second table: all splits of a set together."""
    right = {side: np.concatenate([each["right"][side] for each in splits]) for side in ("last", "all", "graft")}
    better = max("last", "all", key=lambda side: right[side].mean())
    lost = right[better].astype(float) - right["graft"]
    cells = [f"{100 * -lost.mean():+.1f}", f"{chance_of_gain(lost):.3f}" if lost.any() else "1.000"]
    if splits[0]["grid"]:
        grids = pd.DataFrame([each["grid"]["accuracies"] for each in splits]).mean()
        share = sum(each["choice"]["passes"] for each in splits) / sum(each["grid"]["passes"] for each in splits)
        cells += [f"{grids.idxmax()}: {grids.max():.1%}", f"{100 * (grids.max() - right['graft'].mean()):+.1f}",
                  f"{share:.0%}"]
    print_row(name, len(lost), *(int((~right[side]).sum()) for side in right), better, *cells)


def main() -> None:
    """Print a row for each split, then one for each set."""
    options = begin(__doc__, "data", "weights", sets=SETS, splits=5, grid=False)
    print_head("set", "split", "test images", "last level", "all levels", "Graft", "quadrant", "chosen", "kept",
               "passes", "forecasts held")
    results = {name: [] for name in options.sets}
    for name in options.sets:
        for number, found in enumerate(run((options.data / name).resolve(), options.weights.resolve(), options.splits,
                                           options.grid)):
            print_split(name, number, found)
            results[name].append(found)
    print()
    print_head("set", "test images", "mistakes: last level", "all levels", "Graft", "better baseline",
               "Graft beside it, points", "p that Graft is worse",
               *["best of the grid", "regret, points", "passes beside the grid's"] * options.grid)
    for name, splits in results.items():
        print_set(name, splits)


if __name__ == "__main__":
    with reported():
        main()
