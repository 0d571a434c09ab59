"""The gate: decide whether the model that was just evaluated may replace the champion.

It is not a stage, because it depends on what is published. The new model's answers are those that `evaluate` stored.
The champion predicts the same test images again, with its own preprocessing; its earlier metrics do not count.
`python -m tasks.gate` writes the verdict and its reasons to outputs/gate.
"""

import filecmp
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from graft.errors import GraftError, printable, reported
from tasks.data import DataParams
from tasks.params import params, read_params
from tasks.publish import ATTACHED, PublishParams, identity
from tasks.repository import default_registry, state

REPEATED = 8        # test images that the new model predicts again, to verify that the stored answers are its own


@params
class GateParams:
    """When a model is promoted, see `pipeline.evaluation.decision.Rules`."""

    min_accuracy: float = Field(ge=0, le=1)
    min_class_recall: float = Field(ge=0, le=1)
    significance: float = Field(ge=0.001, le=0.5)
    max_class_recall_drop: float = Field(ge=0, le=1)


def pull_champion(name: str):
    """Pull the champion as a `graft.registry.Pulled`; None if no version of the model was ever promoted.

    Raises:
        GraftError: if the registry cannot be reached or is damaged; that never counts as "no champion".
    """
    from graft import registry
    from graft.registry import log
    from graft.registry.address import CHAMPION
    from graft.store import open_store

    number = log.head(open_store(default_registry()), name).version_of(CHAMPION)
    return registry.pull(f"{name}@{number}", registry=default_registry(), attachments=True) if number else None


def score_champion(folder: Path, candidate: tuple, table, images: Path):
    """Let the champion predict the test images, and find those that it was trained or tuned on.

    Args:
        folder: the pulled champion.
        candidate: the new model's class names and answers; those of the champion if it is the same model.
        table: the test images, with the columns path, label and sha256.
        images: the folder of the images.

    Returns:
        A `pipeline.evaluation.decision.Champion`.
    """
    from graft.model.classifier import Classifier
    from pipeline.evaluation.decision import Champion
    from pipeline.evaluation.predictions import predict_table
    from tasks import artifacts

    split, has_learnt = folder / "attachments" / artifacts.SPLITS.name, None
    if split.exists():
        seen = artifacts.read_table(split, {"sha256": str, "split": str})      # an older version has no more
        has_learnt = table["sha256"].isin(related(seen.loc[seen["split"] != "test", "sha256"], folder)).to_numpy()
    if is_same(artifacts.BUNDLE, folder):
        return Champion(*candidate, has_learnt)
    classifier = Classifier(folder)
    predicted = predict_table(classifier, table, images)["predicted"].to_numpy(str)
    return Champion(list(classifier.class_names), predicted, has_learnt)


def related(learnt: Iterable[str], champion: Path) -> set[str]:
    """The images that the champion has learnt, their near-duplicates and all other images of their groups.

    A near-duplicate may be in today's test split if the original is gone or was added later, so the search covers
    today's images and those that were published with the champion.

    Args:
        learnt: sha256 of images.
        champion: its folder.

    Returns:
        sha256 of images, including `learnt`.
    """
    import pandas as pd

    from tasks import artifacts

    theirs = champion / "attachments" / artifacts.IMAGES.name
    images = pd.concat([_without_shared_hashes(artifacts.read_table(path, artifacts.IMAGE_COLUMNS))
                        for path in (artifacts.IMAGES, theirs) if path == artifacts.IMAGES or path.exists()])
    known, before = set(learnt), 0
    while len(known) > before:          # near-duplicates of near-duplicates
        before = len(known)
        for column in ("duplicate_group", "perceptual_hash", "group"):
            filled = images[images[column].ne("")]
            values = filled.loc[filled["sha256"].isin(known), column]
            known |= set(filled.loc[filled[column].isin(values), "sha256"])
    return known


def _without_shared_hashes(images):
    """The table without the perceptual hashes that different pictures share, as simple drawings often do."""
    pictures = images.groupby("perceptual_hash")["duplicate_group"].transform("nunique")
    return images.assign(perceptual_hash=images["perceptual_hash"].where(pictures.eq(1), ""))


def is_same(bundle: Path, other: Path) -> bool:
    """Whether two bundles hold the same files."""
    return not any(filecmp.cmpfiles(bundle, other, [path.name for path in bundle.iterdir()], shallow=False)[1:])


def find_known(bundle: Path, name: str, pulled) -> tuple[int, str] | None:
    """The version that this model already is, and why it is not judged again: it is the champion, or was taken back.

    Args:
        bundle: the new model's folder.
        name: its name in the registry.
        pulled: the champion, see `pull_champion`.
    """
    from graft import registry

    if pulled and is_same(bundle, pulled.folder):
        return pulled.version, f"this model is already the champion, version {pulled.version}"
    if back := registry.find_taken_back(bundle, name, default_registry()):
        reason = f" ({back.reason})" if back.reason else ""
        what = "withdrew" if back.is_withdrawal else "rolled back"
        return back.replaced, (
            f"this model is version {back.replaced}, which {back.by} {what} at {back.at}{reason}. The gate does not "
            f"promote it again; a person can, with `graft promote {name}@{back.replaced}`")
    return None


def read_candidate(table, images: Path) -> tuple:
    """Read the new model's answers, as `evaluate` stored them.

    Args:
        table: the test images, with the columns path and label.
        images: the folder of the images.

    Returns:
        The model's class names, and its answers, str `(images,)`.

    Raises:
        GraftError: if the stored answers are not this bundle's answers to these images.
    """
    import numpy as np

    from graft.model.classifier import Classifier
    from pipeline.evaluation.predictions import columns, predict_table
    from tasks import artifacts

    classifier = Classifier(artifacts.BUNDLE)
    stored = artifacts.read_table(artifacts.PREDICTIONS, columns(classifier.class_names))
    is_current = stored[["path", "label"]].equals(table[["path", "label"]])
    if is_current:
        again = predict_table(classifier, table[:REPEATED], images).select_dtypes(float)
        is_current = np.allclose(again, stored[:REPEATED][again.columns], atol=1e-4)
    if not is_current:
        raise GraftError(f"{artifacts.PREDICTIONS} does not contain the predictions of {artifacts.BUNDLE} for the test "
                         f"images of {artifacts.SPLITS}. Run `dvc repro evaluate` first.")
    return list(classifier.class_names), stored["predicted"].to_numpy(str)


def judge(gate: GateParams, name: str, images: Path, pulled=None) -> dict:
    """Compare both models, decide, and write the report and the page; a picture counts once.

    Args:
        gate: when to promote.
        name: the model's name in the registry.
        images: the folder of the images.
        pulled: the champion, see `pull_champion`.

    Returns:
        The content of gate.json.

    Raises:
        GraftError: if an input is missing or out of date, or an image cannot be read.
    """
    from pipeline.evaluation.decision import HOLD, Rules, decide
    from tasks import artifacts

    test, judged = artifacts.read_test(), identity(artifacts.BUNDLE)
    class_names, predicted = read_candidate(test, images)
    table, predicted = test[~test["is_copy"]].reset_index(drop=True), predicted[~test["is_copy"]]
    champion = score_champion(pulled.folder, (class_names, predicted), table, images) if pulled else None
    decision = decide(Rules(**vars(gate)), class_names, table["label"].to_numpy(str), predicted, champion)
    version, reason = find_known(artifacts.BUNDLE, name, pulled) or (None, "")
    if version:
        decision = replace(decision, verdict=HOLD, reasons=[reason])
    report = {
        "verdict": decision.verdict, "reasons": decision.reasons, "model": name, "bundle": judged,
        "champion_version": pulled.version if pulled else None, "rules": vars(gate),
        "copies": int(test["is_copy"].sum()), **decision.figures,
    }
    write_pages(report, version, table, predicted, champion, images)
    artifacts.write_json(artifacts.GATE, report)
    return report


def write_pages(report: dict, *judged) -> None:
    """Write the gate's page, and the evaluation's report with the verdict, the day and the commit in its head.

    Unlike a stage, the gate runs at a time that its result depends on; so these pages alone may name it.

    Args:
        report: see `judge`.
        judged: the other arguments of `pipeline.evaluation.gate_page.render_gate`, after the stamp.
    """
    from pipeline.evaluation.gate_page import render_gate
    from pipeline.evaluation.stamp import stamp
    from tasks import artifacts

    head = f"Candidate of {datetime.now(UTC):%Y-%m-%d}, {commit_named()}."
    artifacts.write_text(artifacts.GATE_PAGE, render_gate(report, head, *judged))
    if artifacts.REPORT.exists():
        verdict = f"The gate: {report['verdict']}, {'; '.join(report['reasons'])}."
        page = stamp(artifacts.REPORT.read_text(encoding="utf-8"), head, verdict)
        artifacts.write_text(artifacts.JUDGED_REPORT, page)


def commit_named() -> str:
    """The commit of this checkout for people, such as `commit 8cace04 with changes`."""
    found = state(ATTACHED)
    return f"commit {found['commit'][:7]}{' with changes' * found['dirty']}" if found["commit"] else "no commit known"


def run(pulled) -> dict:
    """`judge` with the values of params.yaml; `pulled` is the champion, see `pull_champion`."""
    gate, name = read_params("gate", GateParams), read_params("publish", PublishParams).name
    return judge(gate, name, read_params("data", DataParams).folder, pulled)


def main() -> None:
    """Pull the champion, judge the new model, and print the verdict with its reasons."""
    report = run(pull_champion(read_params("publish", PublishParams).name))
    print(printable(f"{report['verdict']}: " + "; ".join(report["reasons"])))


if __name__ == "__main__":
    with reported():
        main()
