"""Every file passed between stages: its path, its columns, its reader beside its writer.

Stages exchange data through these files alone. The files contain nothing that changes from run to run, such as a time,
a duration or a random id, so a forced rerun leaves dvc.lock unchanged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graft.errors import GraftError
from tasks.files import (  # noqa: F401  for all who import this module
    read_arrays,
    read_json,
    read_table,
    write_arrays,
    write_json,
    write_table,
    write_text,
)
from tasks.params import read_sections

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

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
LEVELS = OUTPUTS / "extract" / "levels.json"                # see `pipeline.probing.levels.Index`
AUGMENTED = OUTPUTS / "extract" / "augmented.png"
HEAD = OUTPUTS / "transfer" / "head.json"                   # the levels that the head reads, and its shape
TRANSFER_HEAD = OUTPUTS / "transfer" / "head.npz"           # its weights, in the order of Keras's `get_weights`
CANDIDATES = OUTPUTS / "transfer" / "candidates.csv"        # the levels that were compared
CANDIDATE_LOSSES = OUTPUTS / "transfer" / "losses.npz"      # float64 (images,) each, out of fold, of every image
TRANSFER_HELD_OUT = OUTPUTS / "transfer" / "held_out.csv"   # answers to images by a head that had not seen them
TRANSFER_HISTORY = OUTPUTS / "transfer" / "history.csv"
TRANSFER_SUMMARY = OUTPUTS / "transfer" / "summary.json"
CHOICE = OUTPUTS / "choose" / "choice.json"                 # what to train, and why
TRIALS = OUTPUTS / "choose" / "trials.csv"                  # the settings that were tried
TRIAL_LOSSES = OUTPUTS / "choose" / "losses.npz"            # float64 (images,) each, of the val images
FINETUNE_MODEL = OUTPUTS / "finetune" / "model.npz"         # weights of top and head; none if transfer's model is kept
FINETUNE_HELD_OUT = OUTPUTS / "finetune" / "held_out.csv"   # answers to the val images before they were trained on
FINETUNE_HISTORY = OUTPUTS / "finetune" / "history.csv"
FINETUNE_SUMMARY = OUTPUTS / "finetune" / "summary.json"
BUNDLE = OUTPUTS / "export"                                 # a folder; for its files, see graft.model.bundle
PREDICTIONS = OUTPUTS / "evaluate" / "predictions.csv"
METRICS = OUTPUTS / "evaluate" / "metrics.json"             # each with its interval and its number of images
SUMMARY = OUTPUTS / "evaluate" / "summary.json"             # some of them as plain numbers: a short row for DVC
CLASSES = OUTPUTS / "evaluate" / "classes.csv"
REPORT = OUTPUTS / "evaluate" / "report.html"
VERDICT = OUTPUTS / "evaluate" / "verdict.json"             # rows of question and answer, for people
PLOTS = OUTPUTS / "evaluate" / "plots"                      # a folder
GATE = OUTPUTS / "gate" / "gate.json"                       # not a stage: depends on what is published
LEARNING_RATE = OUTPUTS / "learning_rate"                   # not a stage: plots of `tasks.find_learning_rate`
GATE_PAGE = OUTPUTS / "gate" / "gate.html"
CARD = OUTPUTS / "card" / "card.md"                         # not a stage: it is published with words of the user's
JUDGED_REPORT = OUTPUTS / "gate" / "report.html"            # REPORT with verdict, day and commit

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
SPLIT_COLUMNS = {
    "path": str, "label": str, "sha256": str, "split": str,
    "group": str,               # the same for images that belong together, by the user's word or as near-duplicates
}
ACTIVATION_COLUMNS = {"path": str, "label": str, "split": str, "sha256": str, "group": str, "views": "int64"}
CANDIDATE_COLUMNS = {
    "levels": str,              # the first level that the head reads; it reads all after it, too
    "units": "int64",           # how many features these are
    "penalty": float,
    "mirrored": bool,           # whether mirrored images are trained on, too
    "log_loss": float,          # out of fold
    "accuracy": float,          # likewise
}
TRIAL_COLUMNS = {
    "cut": str,                 # empty for the head alone
    "learning_rate": float,
    "epochs": "int64",
    "log_loss": float,          # of val, with its 95 % interval
    "log_loss_low": float,
    "log_loss_high": float,
    "accuracy": float,
    "passes": float,            # cost in forward passes of the backbone per training image
}
LOGIT = "logit:"
HELD_OUT_COLUMNS = {"path": str, "label": str, "fold": "int64", "unknown_score": float}     # and `logit:CLASS` for each
HISTORY_COLUMNS = {
    "epoch": "int64",           # from 1
    "learning_rate": float,
    "accuracy": float,
    "loss": float,
    "val_accuracy": float,
    "val_loss": float,          # at the best temperature, as the published model's is
}
CLASS_COLUMNS = {"class": str, "images": "int64", "predicted": "int64"} | {      # one row per class, on the test split
    f"{metric}{end}": float     # 0 to 1, with its interval; empty where undefined
    for metric in ("precision", "recall", "f1", "roc_auc", "average_precision") for end in ("", "_low", "_high")
}


def candidate_table(candidates: list) -> pd.DataFrame:
    """A row of `CANDIDATE_COLUMNS` for each `pipeline.probing.selection.Candidate`."""
    import pandas as pd

    rows = [(each.levels[0], len(each.axes.mean), each.penalty, each.is_mirrored, each.log_loss, each.accuracy)
            for each in candidates]
    return pd.DataFrame(rows, columns=list(CANDIDATE_COLUMNS))


def read_labels(table: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """The place of each row's label among the class names, int `(rows,)`; and these names, in alphabetical order."""
    class_names = sorted(read_table(ACTIVATIONS, ACTIVATION_COLUMNS)["label"].unique())
    return table["label"].map({name: number for number, name in enumerate(class_names)}).to_numpy(int), class_names


def write_held_out(path: Path, table: pd.DataFrame, logits: np.ndarray) -> None:
    """Write the answers to images that were not trained on for them.

    Args:
        table: with `path`, `label`, `fold` and, where it is known, `unknown_score`.
        logits: float `(images, classes)`.
    """
    import pandas as pd

    answers = pd.DataFrame(logits, columns=[LOGIT + name for name in read_labels(table)[1]], index=table.index)
    table = table.assign(unknown_score=table.get("unknown_score", float("nan")))
    columns = HELD_OUT_COLUMNS | dict.fromkeys(answers.columns, float)
    write_table(path, pd.concat([table[list(HELD_OUT_COLUMNS)], answers], axis=1), columns)


def read_held_out(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Read what `write_held_out` wrote: the table, and the logits, float64 `(images, classes)`."""
    import pandas as pd

    names = [LOGIT + name for name in read_labels(pd.DataFrame(columns=["label"]))[1]]
    table = read_table(path, HELD_OUT_COLUMNS | dict.fromkeys(names, float))
    return table[list(HELD_OUT_COLUMNS)], table[names].to_numpy(float)


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
    import pandas as pd

    write_table(path, pd.DataFrame(history, columns=list(HISTORY_COLUMNS)), HISTORY_COLUMNS)


def read_examples(*splits: str) -> pd.DataFrame:
    """The rows of activations.csv of some splits, in the order in which `open_dataset` has them."""
    table = read_table(ACTIVATIONS, ACTIVATION_COLUMNS)
    return table[table["split"].isin(splits)].reset_index(drop=True)


def read_extracted(is_mirrored: bool = False, cut: str | None = None) -> dict:
    """What `extract` wrote, and the cache's limit: keyword arguments of `pipeline.training.examples.open_dataset`.

    Args:
        is_mirrored: what `extract.augmentation.horizontal_flip: auto` means.
        cut: in place of the one in backbone.json.
    """
    part = read_json(BACKBONE)
    part["cut"] = cut or part["cut"]
    if part["augmentation"]["horizontal_flip"] == "auto":
        part["augmentation"]["horizontal_flip"] = is_mirrored
    return {
        "part": part, "weights": BACKBONE_WEIGHTS,
        "table": read_table(ACTIVATIONS, ACTIVATION_COLUMNS),
        "cache": CACHE / "activations", "cache_gigabytes": read_sections()["extract"]["cache_gigabytes"],
    }
