"""Rank backbones by how well a linear head tells the classes on their levels: a command for people, not a stage.

    python -m tasks.rank_backbones MobileNetV2 EfficientNetV2B0 ConvNeXtTiny      (run the stages up to split first)

Each is probed as `transfer` does, at its own image size, on at most 1,000 of the train and val images.
"""

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from graft.errors import GraftError, did_you_mean, reported
from tasks.data import DataParams
from tasks.extract import BackboneParams, ExtractParams, load_backbone, save_backbone
from tasks.params import read_params
from tasks.transfer import TransferParams, candidate_levels

MOST_IMAGES = 1000
SIGNIFICANCE = 0.05     # chance of calling a backbone worse that is as good


@dataclass(frozen=True)
class Probe:
    """What a backbone promises, and what it costs.

    Attributes:
        backbone: as in `extract`.
        candidate: the best head on its levels, see `pipeline.probing.selection.Candidate`.
        losses: float `(images,)`, its log losses, of images that were held out.
        megabytes: of the backbone's weights.
        multiplications: of one forward pass, in millions.
    """

    backbone: BackboneParams
    candidate: object
    losses: object
    megabytes: float
    multiplications: float


def images_to_probe(splits):
    """The train and val images, or 1,000 of them: of each class its share, by the hash of the bytes."""
    rows = splits[splits["split"] != "test"].sort_values("sha256")
    share = min(1.0, MOST_IMAGES / len(rows))
    kept = rows.groupby("label").cumcount() < share * rows.groupby("label")["path"].transform("count")
    return rows[kept].sort_values("path").reset_index(drop=True).assign(views=0)


def own_params(extract: ExtractParams, name: str) -> ExtractParams:
    """The stage's parameters with another backbone: as wide as its usual published weights, at their image size."""
    from pipeline.training.backbones import BACKBONES

    if name == extract.backbone.name:
        return extract
    entry = BACKBONES[name]
    weights = "none" if extract.backbone.weights == "none" else entry.published
    return replace(extract, backbone=replace(extract.backbone, name=name, alpha=1.0 if entry.alphas else None,
                                             image_size=entry.image_size, weights=weights, cut="auto"))


def probe(extract: ExtractParams, transfer: TransferParams, table, images: Path) -> Probe:
    """Compute the levels of a backbone, and compare heads on them.

    Args:
        extract: with the backbone.
        transfer: says which levels, and how many folds.
        table: from `images_to_probe`.
        images: the folder of the images.
    """
    from pipeline import losses
    from pipeline.probing import levels, selection
    from pipeline.probing.folds import assign_folds
    from pipeline.training import arithmetic, backbones, examples
    from tasks import artifacts

    network = load_backbone(extract, table, images)
    index = levels.Index("", list(backbones.level_units(network).items()))
    with TemporaryDirectory() as folder:
        weights = Path(folder, "backbone.weights.h5")
        part = save_backbone(extract, network, weights)
        part["augmentation"]["horizontal_flip"] = False
        dataset = examples.open_dataset(part, weights, table, images, artifacts.CACHE / "activations",
                                        extract.cache_gigabytes)
        rows = examples.read_levels(dataset, levels.views_of(table["path"].tolist(), table["sha256"].tolist()))
    labels = table["label"].astype("category").cat.codes.to_numpy(int)
    folds = assign_folds(labels, table["group"].to_numpy(str), transfer.folds)
    measured = selection.Features(rows[:, 0], rows[:, 1], labels, folds, labels.max() + 1)
    compared = selection.compare_sets(measured, index, candidate_levels("auto", index.names))
    best = min(compared, key=lambda each: each.log_loss)
    return Probe(extract.backbone, best, losses.log_losses(best.logits, measured.labels),
                 network.count_params() * 4 / 1e6, arithmetic.multiplications(network) / 1e6)


def print_ranking(probes: list[Probe]) -> None:
    """Print a line for each backbone, the one with the lowest log loss first."""
    from pipeline.evaluation.intervals import proportion
    from pipeline.probing.comparison import chance_of_gain
    from pipeline.training.weights import licence

    probes = sorted(probes, key=lambda each: each.candidate.log_loss)
    print(f"\n{'backbone':20}{'log loss':>10}  {'accuracy (95 % interval)':26}{'weights':>10}{'multiplications':>18}"
          "  licence")
    for each in probes:
        low, high = proportion(each.candidate.accuracy, len(each.losses), 0.95)
        is_tied = each is not probes[0] and chance_of_gain(each.losses - probes[0].losses) > SIGNIFICANCE
        known = licence(each.backbone.name, each.backbone.weights) or {"name": "unknown"}
        print(f"{each.backbone.name:20}{each.candidate.log_loss:10.4f}  "
              f"{f'{each.candidate.accuracy:.1%} ({low:.1%} to {high:.1%})':26}{each.megabytes:7.1f} MB"
              f"{each.multiplications:16,.0f} M  {known['name']}{', not worse, beyond chance' * is_tied}")
    print(f"\nHeld-out answers to {len(probes[0].losses)} images. For the first, set in params.yaml:\n\n  backbone:")
    for key, value in asdict(probes[0].backbone).items():
        print(f"    {key}: {json.dumps(value)}")


def main() -> None:
    """Probe each backbone, and print the ranking."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help="a backbone of pipeline/training/backbones.py")
    names, data = parser.parse_args().names, read_params("data", DataParams)
    extract, transfer = read_params("extract", ExtractParams), read_params("transfer", TransferParams)
    from pipeline.training.backbones import BACKBONES
    from tasks import artifacts

    if unknown := [name for name in names if name not in BACKBONES]:
        said = " ".join(f"There is no backbone '{name}'.{did_you_mean(name, BACKBONES)}" for name in unknown)
        raise GraftError(f"{said}\n       The backbones are {', '.join(BACKBONES)}")
    table, probes = images_to_probe(artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)), []
    for name in dict.fromkeys(names):
        try:
            print(f"{name} …", flush=True)
            probes.append(probe(own_params(extract, name), transfer, table, data.folder))
        except GraftError as error:
            print(f"{name} is left out: {error}", flush=True)
    if probes:
        print_ranking(probes)


if __name__ == "__main__":
    with reported():
        main()
