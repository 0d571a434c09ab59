"""The gate: may the model that was just evaluated replace the published one? No stage: it depends on what is published.

The new model's answers are those that `evaluate` stored. The champion predicts the same test images anew, with its own
preprocessing: no remembered figure of it counts. `python -m tasks.gate` writes the verdict and its reasons to
outputs/gate.
"""

import filecmp
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from graft.errors import GraftError, reported
from tasks.params import DataParams, params, read_params
from tasks.publish import PublishParams

SHOWN = 24      # images of each kind of disagreement on the page
ASKED_AGAIN = 8     # test images that the new model predicts again, to see that the stored answers are its own


@params
class GateParams:
    min_accuracy: float = Field(ge=0, le=1)
    min_class_recall: float = Field(ge=0, le=1)
    significance: float = Field(ge=0.001, le=0.5)
    max_class_recall_drop: float = Field(ge=0, le=1)


def pull_champion(name: str):
    """The champion as `graft.registry.Pulled`, or None when no version of the model was ever promoted.

    Raises:
        GraftError: when the registry cannot be reached or is damaged; that is never taken for "no champion".
    """
    from graft import registry
    from graft.registry import log
    from graft.registry.address import CHAMPION, default_registry
    from graft.store import open_store

    number = log.head(open_store(default_registry()), name).version_of(CHAMPION)
    return registry.pull(f"{name}@{number}", registry=default_registry(), attachments=True) if number else None


def score_champion(folder: Path, table, images: Path):
    """What the champion says of the test images, and which of them it has learnt, as its own data tell."""
    from graft.model.classifier import Classifier
    from pipeline.evaluation.decision import Champion
    from pipeline.evaluation.predictions import predict_table
    from tasks import artifacts

    classifier, split = Classifier(folder), folder / "attachments" / artifacts.SPLITS.name
    has_learnt = None
    if split.exists():
        seen = artifacts.read_table(split, artifacts.SPLIT_COLUMNS)
        has_learnt = table["sha256"].isin(akin(seen.loc[seen["split"] != "test", "sha256"], folder)).to_numpy()
    predicted = predict_table(classifier, table, images)["predicted"].to_numpy(str)
    return Champion(list(classifier.class_names), predicted, has_learnt)


def akin(learnt: Iterable[str], champion: Path) -> set[str]:
    """The sha256 of what the champion has learnt, of all copies of it, and of all other images of its groups.

    A copy in other bytes may stand in the test split now, if the original is gone or came later: the images of the
    champion's time, which travel with it, and those of today are looked through together.
    """
    import pandas as pd

    from tasks import artifacts

    theirs = champion / "attachments" / artifacts.IMAGES.name
    images = pd.concat([_with_telling_hashes(artifacts.read_table(path, artifacts.IMAGE_COLUMNS))
                        for path in (artifacts.IMAGES, theirs) if path == artifacts.IMAGES or path.exists()])
    known, before = set(learnt), 0
    while len(known) > before:          # a copy of a copy
        before = len(known)
        for kinship in ("duplicate_group", "perceptual_hash", "group"):
            named = images[images[kinship].ne("")]
            kin = named.loc[named["sha256"].isin(known), kinship]
            known |= set(named.loc[named[kinship].isin(kin), "sha256"])
    return known


def _with_telling_hashes(images):
    """Without the perceptual hashes that different pictures share: simple drawings are often alike in it."""
    pictures = images.groupby("perceptual_hash")["duplicate_group"].transform("nunique")
    return images.assign(perceptual_hash=images["perceptual_hash"].where(pictures.eq(1), ""))


def is_same(bundle: Path, other: Path) -> bool:
    """Whether two bundles hold the same files."""
    return not any(filecmp.cmpfiles(bundle, other, [path.name for path in bundle.iterdir()], shallow=False)[1:])


def why_known(bundle: Path, name: str, pulled) -> str | None:
    """Why this very model is not judged again: it is the champion, or somebody rolled back from it."""
    from graft import registry
    from graft.registry.address import default_registry

    if pulled and is_same(bundle, pulled.folder):
        return f"this very model is the champion, version {pulled.version}"
    if back := registry.find_rolled_back(bundle, name, default_registry()):
        reason = f" ({back.reason})" if back.reason else ""
        return (f"this very model is version {back.replaced}, which {back.by} rolled back at {back.at}{reason}. It is "
                f"not promoted again by itself; a person can: `graft promote {name}@{back.replaced}`")
    return None


def read_candidate(table, images: Path) -> tuple:
    """The class names of the new model, and what `evaluate` stored as its answers to the test images, str `(images,)`.

    Raises:
        GraftError: when they are not this bundle's answers to these images.
    """
    import numpy as np

    from graft.model.classifier import Classifier
    from pipeline.evaluation.predictions import columns, predict_table
    from tasks import artifacts

    classifier = Classifier(artifacts.BUNDLE)
    stored = artifacts.read_table(artifacts.PREDICTIONS, columns(classifier.class_names))
    is_current = stored[["path", "label"]].equals(table[["path", "label"]])
    if is_current:
        again = predict_table(classifier, table[:ASKED_AGAIN], images).select_dtypes(float)
        is_current = np.allclose(again, stored[:ASKED_AGAIN][again.columns], atol=1e-4)
    if not is_current:
        raise GraftError(f"{artifacts.PREDICTIONS} does not hold what {artifacts.BUNDLE} predicts for the test images "
                         f"of {artifacts.SPLITS}. Run `dvc repro evaluate` first.")
    return list(classifier.class_names), stored["predicted"].to_numpy(str)


def gate(params: GateParams, name: str, images: Path, pulled=None) -> dict:
    """Compare both models, decide, write the report and the page; returns the report.

    Args:
        pulled: the champion, see `pull_champion`.
    """
    from pipeline.evaluation.decision import HOLD, Rules, decide
    from tasks import artifacts

    table = artifacts.read_split("test")
    class_names, predicted = read_candidate(table, images)
    champion = score_champion(pulled.folder, table, images) if pulled else None
    decision = decide(Rules(**vars(params)), class_names, table["label"].to_numpy(str), predicted, champion)
    if known := why_known(artifacts.BUNDLE, name, pulled):
        decision = replace(decision, verdict=HOLD, reasons=[known])
    report = {
        "verdict": decision.verdict, "reasons": decision.reasons, "model": name,
        "champion_version": pulled.version if pulled else None, "rules": vars(params), **decision.figures,
    }
    artifacts.write_text(artifacts.GATE_PAGE, render_page(report, table, predicted, champion, images))
    artifacts.write_json(artifacts.GATE, report)
    return report


def render_page(report: dict, table, predicted, champion, images: Path) -> str:
    """The report as HTML, with the images on which the two models disagree."""
    from pipeline.evaluation import pictures
    from pipeline.evaluation.render import render

    if champion is None:
        return render("gate.html", champion=None, **report)
    paths, labels = table["path"].to_numpy(str), table["label"].to_numpy(str)

    def shown(rows, who: str, answers) -> list[dict]:
        return [{"url": pictures.data_url(pictures.thumbnail(images / paths[row])), "path": paths[row],
                 "label": labels[row], "who": who, "said": answers[row]} for row in rows[:SHOWN]]

    counts = True if champion.has_learnt is None else ~champion.has_learnt
    is_right, was_right = predicted == labels, champion.predicted == labels
    won, lost = (counts & right & ~other for right, other in ((is_right, was_right), (was_right, is_right)))
    return render("gate.html", **report, won_images=shown(won.nonzero()[0], "the champion", champion.predicted),
                  lost_images=shown(lost.nonzero()[0], "the new model", predicted))


def run(pulled) -> dict:
    """`gate` with what params.yaml says."""
    params, name = read_params("gate", GateParams), read_params("publish", PublishParams).name
    return gate(params, name, Path(read_params("data", DataParams).images), pulled)


def main() -> None:
    report = run(pull_champion(read_params("publish", PublishParams).name))
    print(f"{report['verdict']}: " + "; ".join(report["reasons"]))


if __name__ == "__main__":
    with reported():
        main()
