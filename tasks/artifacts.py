"""Every file passed between stages: its path, its columns, its reader beside its writer.

Stages exchange data through these files alone. The files contain nothing that changes from run to run, such as a time,
a duration or a random id, so a forced rerun leaves dvc.lock unchanged.
"""

import json
from pathlib import Path

import pandas as pd

from graft.errors import GraftError
from graft.machine.files import whole
from tasks.params import read_sections

OUTPUTS = Path("outputs")
CACHE = Path(".graft")      # activations and checkpoints: recomputed if lost, not outputs of a stage

CODE = OUTPUTS / "code" / "code.json"                       # stage -> files and libraries that determine its results
IMAGES = OUTPUTS / "validate" / "images.csv"
DATA_REPORT = OUTPUTS / "validate" / "report.html"          # for people
DATA_FINDINGS = OUTPUTS / "validate" / "findings.json"      # for the report and the flow
DATA_DOCS = OUTPUTS / "validate" / "data_docs.html"         # Great Expectations' own page
SPLITS = OUTPUTS / "split" / "splits.csv"
SPLIT_FINDINGS = OUTPUTS / "split" / "findings.json"        # shares, images left out and why, leakage
BACKBONE = OUTPUTS / "extract" / "backbone.json"
BACKBONE_WEIGHTS = OUTPUTS / "extract" / "backbone.weights.h5"
ACTIVATIONS = OUTPUTS / "extract" / "activations.csv"
AUGMENTED = OUTPUTS / "extract" / "augmented.png"
HEAD = OUTPUTS / "transfer" / "head.json"                   # the head's shape, see `pipeline.training.heads.build_head`
TRANSFER_HEAD = OUTPUTS / "transfer" / "head.weights.h5"
TRANSFER_HISTORY = OUTPUTS / "transfer" / "history.csv"
TRANSFER_SUMMARY = OUTPUTS / "transfer" / "summary.json"
FINETUNE_TOP = OUTPUTS / "finetune" / "top.weights.h5"
FINETUNE_HEAD = OUTPUTS / "finetune" / "head.weights.h5"
FINETUNE_HISTORY = OUTPUTS / "finetune" / "history.csv"
FINETUNE_SUMMARY = OUTPUTS / "finetune" / "summary.json"
BUNDLE = OUTPUTS / "export"                                 # a folder; for its files, see graft.model.bundle
PREDICTIONS = OUTPUTS / "evaluate" / "predictions.csv"
METRICS = OUTPUTS / "evaluate" / "metrics.json"
CLASSES = OUTPUTS / "evaluate" / "classes.csv"
REPORT = OUTPUTS / "evaluate" / "report.html"
PLOTS = OUTPUTS / "evaluate" / "plots"                      # a folder
GATE = OUTPUTS / "gate" / "gate.json"                       # not a stage: depends on what is published
LEARNING_RATE = OUTPUTS / "learning_rate"                   # not a stage: plots of `tasks.find_learning_rate`
GATE_PAGE = OUTPUTS / "gate" / "gate.html"

SPLIT_NAMES = ("train", "val", "test")
IMAGE_COLUMNS = {       # one row per readable image, sorted by path
    "path": str,                # relative to data.images, with /
    "label": str,
    "sha256": str,              # of the file's bytes
    "width_px": "int64",        # as in the file's header, before EXIF rotation
    "height_px": "int64",
    "mode": str,                # Pillow's: RGB, L, P, CMYK …
    "format": str,              # Pillow's: JPEG, PNG …
    "size_bytes": "int64",
    "contrast": float,          # standard deviation of the grey values, 0 to 128
    "perceptual_hash": str,     # 64-bit difference hash, hexadecimal
    "duplicate_group": str,     # the same for near-duplicates: the smallest sha256 among them
    "group": str,               # given by the user (a patient, a burst), or empty; a group stays in one split
    "given_split": str,         # given by the user: train, val, test or empty
}
SPLIT_COLUMNS = {"path": str, "label": str, "sha256": str, "split": str}
ACTIVATION_COLUMNS = {"path": str, "label": str, "split": str, "sha256": str, "views": "int64"}
HISTORY_COLUMNS = {
    "epoch": "int64",           # from 1
    "learning_rate": float,
    "accuracy": float,
    "loss": float,
    "val_accuracy": float,
    "val_loss": float,
}
CLASS_COLUMNS = {"class": str, "images": "int64", "predicted": "int64"} | {      # one row per class, on the test split
    f"{metric}{end}": float     # 0 to 1, with its interval; empty where undefined
    for metric in ("precision", "recall", "f1", "roc_auc", "average_precision") for end in ("", "_low", "_high")
}


def write_table(path: Path, table: pd.DataFrame, columns: dict) -> None:
    """Write a table as CSV, whole or not at all.

    Args:
        path: the file; its folder is created if necessary.
        table: has at least `columns`; others are left out.
        columns: name -> dtype, in the file's order.
    """
    write_text(path, table[list(columns)].to_csv(index=False, lineterminator="\n"))


def read_table(path: Path, columns: dict) -> pd.DataFrame:
    """Read what `write_table` wrote.

    Raises:
        GraftError: if the file is missing or damaged, or lacks one of the columns.
    """
    missing_values = {name: [""] for name, kind in columns.items() if kind is not str}     # a label may be called "NA"
    try:
        table = pd.read_csv(path, dtype=columns, keep_default_na=False, na_values=missing_values)
    except FileNotFoundError:
        raise GraftError(f"{path} is missing: run `dvc repro {path.parent.name}` first.") from None
    except ValueError as error:
        raise GraftError(f"{path} is damaged: {error}. Run `dvc repro --force {path.parent.name}`.") from None
    if missing := [name for name in columns if name not in table.columns]:
        raise GraftError(f"{path}: column {', '.join(missing)} is missing. Run `dvc repro --force {path.parent.name}`.")
    return table[list(columns)]


def read_split(name: str) -> pd.DataFrame:
    """The rows of splits.csv for one split, `train`, `val` or `test`. Raises `GraftError` if there are none."""
    splits = read_table(SPLITS, SPLIT_COLUMNS)
    if (rows := splits[splits["split"] == name].reset_index(drop=True)).empty:
        raise GraftError(f"{SPLITS}: the split '{name}' has no images. Add images, or raise split.{name}_share in "
                         "params.yaml.")
    return rows


def read_test() -> pd.DataFrame:
    """The rows of the test split, with the column `is_copy`, False for the first of the copies of a picture by path.

    A picture counts once. Near-duplicates with different labels are different pictures.

    Raises:
        GraftError: if there are no such rows, or a file is missing.
    """
    rows = read_split("test")
    groups = read_table(IMAGES, IMAGE_COLUMNS).set_index("path")["duplicate_group"]
    pictures = rows.assign(picture=rows["path"].map(groups).fillna(rows["sha256"])).sort_values("path")
    return rows.assign(is_copy=pictures.duplicated(["picture", "label"]))


def write_history(path: Path, history: list[dict]) -> None:
    """Write one row per epoch; none if nothing was trained. For the keys, see `HISTORY_COLUMNS`."""
    write_table(path, pd.DataFrame(history, columns=list(HISTORY_COLUMNS)), HISTORY_COLUMNS)


def read_extracted() -> dict:
    """What `extract` wrote, and the cache's limit: keyword arguments of `pipeline.training.examples.open_dataset`."""
    return {
        "part": read_json(BACKBONE),
        "weights": BACKBONE_WEIGHTS,
        "table": read_table(ACTIVATIONS, ACTIVATION_COLUMNS),
        "cache": CACHE / "activations",
        "cache_gigabytes": read_sections()["extract"]["cache_gigabytes"],
    }


def write_json(path: Path, content) -> None:
    """Write JSON with sorted keys, whole or not at all. Raises `ValueError` for NaN and infinity."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path):
    """Read what `write_json` wrote. Raises `GraftError` if the file is missing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GraftError(f"{path} is missing: run `dvc repro {path.parent.name}` first.") from None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a half-written file never has the final name."""
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="")
