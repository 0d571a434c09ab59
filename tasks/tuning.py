"""Train the blocks above a cut: for `choose`, which tries some settings, and for `finetune`, which goes on with one."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tasks.features import compared, read_features, to_features
from tasks.params import FitParams, params


@params
class FinetuneParams(FitParams):
    """How the top and the head are fitted, with a learning rate per block; `auto` is what `choose` found."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"]
    layer_decay: float = Field(gt=0, le=1)
    averaging_epochs: float = Field(ge=0, le=10)


@dataclass(frozen=True)
class Setting:
    """The last frozen layer, and the learning rate of what is above it."""

    cut: str
    learning_rate: float


def start_heads(images: Path, *learnt: Collection[str]) -> list[list]:
    """Fit the heads on the last level from which training starts.

    Args:
        images: the folder of the images.
        learnt: paths of train and val images from which a head learns.

    Returns:
        The weights of each head. The recipe's head stands for all, although it has learnt from train alone.
    """
    from pipeline.probing import selection
    from tasks import artifacts

    if artifacts.read_json(artifacts.TRANSFER_SUMMARY)["head"] == "recipe":
        return [artifacts.read_arrays(artifacts.TRANSFER_HEAD)] * len(learnt)
    table, index, levels = read_features(images)
    features = to_features(table, levels)
    last = features.units(index.columns(index.names[-1:]))
    penalty, is_mirrored, _ = compared(features, index, index.names[-1:])
    heads = [selection.fit_head(last.images(table["path"].isin(paths).to_numpy()), penalty, is_mirrored)
             for paths in learnt]
    return [[head.kernel, head.bias] for head in heads]


def build_model(dataset, head_shape: dict, head_weights: list):
    """Build the model from activations to logits, ready for training.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        head_shape: `hidden_units` and `dropout` of `pipeline.training.heads.build_head`.
        head_weights: see `start_heads`.

    Returns:
        The model, its top and its head.
    """
    from pipeline.training import backbones, backend, folding, heads

    _, top = dataset.models(dataset.part.precision)
    with backend.precision(dataset.part.precision):
        head = heads.build_head(top.output.shape[-1], len(dataset.class_names), **head_shape)
        head.set_weights(head_weights)
        model = heads.trainable_model(folding.fold_batch_normalization(top, trainable=True), head)
    backbones.freeze_batch_normalization(model)
    return model, top, head


def fit_model(models, train, val, finetune, checkpoint: Path, last_epoch: int | None = None):
    """Fit top and head.

    Args:
        models: see `build_model`.
        train, val: `pipeline.training.examples.Examples`; val may be None.
        finetune: the parameters of the stage `finetune`, with a learning rate that is a number.
        checkpoint: the file from which a killed run continues.
        last_epoch: see `pipeline.training.fitting.fit`.

    Returns:
        See `pipeline.training.fitting.fit`.
    """
    from pipeline.training import fitting, optimizers

    model, top, _ = models
    return fitting.fit(
        model, train, val, checkpoint=checkpoint, last_epoch=last_epoch, **finetune.options(),
        learning_rate_factors=optimizers.layer_factors(top, finetune.layer_decay),
        averaging_epochs=finetune.averaging_epochs,
    )


class Tuner:
    """Trains at one setting or another, each from its checkpoint if it was begun before.

    Args:
        finetune: the parameters of the stage `finetune`.
        images: the folder of the images.
    """

    def __init__(self, finetune, images: Path):
        from tasks import artifacts

        self.finetune, self.images = finetune, images
        head = artifacts.read_json(artifacts.HEAD)
        self.head_shape = {key: head[key] for key in ("hidden_units", "dropout")}
        train, val = (artifacts.read_examples(name)["path"].tolist() for name in ("train", "val"))
        self.on_train, self.on_all = start_heads(images, train, train + val)
        self._begun: dict[str, tuple] = {}

    def dataset(self, cut: str):
        """The images as activations at a cut; see `pipeline.training.examples.open_dataset`."""
        from pipeline.training import examples
        from tasks import artifacts

        is_mirrored = artifacts.read_json(artifacts.TRANSFER_SUMMARY)["is_mirrored"]
        return examples.open_dataset(**artifacts.read_extracted(is_mirrored, cut), images=self.images)

    def fit(self, setting: Setting, last_epoch: int | None = None) -> tuple:
        """Train on train. Returns the dataset, the models of `build_model`, and what `fit_model` returns."""
        dataset, models = self._untrained(setting.cut)
        train, val = dataset.splits["train"], dataset.splits["val"]
        params = self._params(setting)
        return dataset, models, *fit_model(models, train, val, params, self.checkpoint(setting), last_epoch)

    def _untrained(self, cut: str) -> tuple:
        """The dataset and the models of a cut; they are built once, since compiling takes longer than a short fit."""
        import numpy as np

        from pipeline.training import backend, fitting

        if cut not in self._begun:
            dataset = self.dataset(cut)
            dataset.fill()
            backend.make_deterministic(self.finetune.seed)
            models = build_model(dataset, self.head_shape, self.on_train)
            self._begun[cut] = dataset, models, [np.array(variable) for variable in models[0].variables]
        dataset, models, weights = self._begun[cut]
        fitting.assign(models[0].variables, weights)
        return dataset, models

    def fit_on_all(self, setting: Setting) -> tuple:
        """Train on train and val. Returns the models of `build_model`, which are those of `fit`, trained anew."""
        from pipeline.training import examples

        dataset, models = self._untrained(setting.cut)
        models[2].set_weights(self.on_all)
        everything = examples.joined(dataset.splits["train"], dataset.splits["val"])
        everything.activations.fill(everything.all_views())
        fit_model(models, everything, None, self._params(setting), self.checkpoint(setting, ", on all"))
        return models

    def answer_fold(self, setting: Setting, fold: int, folds):
        """Train on the train and val images outside a fold.

        Args:
            folds: int `(images,)`, of the train images, then of the val images.

        Returns:
            Logits of the fold's train images, float `(images, classes)`.
        """
        from pipeline.training import examples, scoring

        dataset, models = self._untrained(setting.cut)
        train, val = dataset.splits["train"], dataset.splits["val"]
        outside = examples.joined(train, val).some(folds != fold)
        models[2].set_weights(*start_heads(self.images, outside.paths))
        outside.activations.fill(outside.all_views())
        fit_model(models, outside, None, self._params(setting), self.checkpoint(setting, f", fold {fold}"))
        inside = replace(train.some(folds[: len(train)] == fold), views=0)
        inside.activations.fill(inside.all_views())
        return scoring.predict(models[0], inside)

    def checkpoint(self, setting: Setting, learnt: str = "") -> Path:
        """The checkpoint of a setting; `learnt` tells from which images, if not from train."""
        from pipeline.training import checkpoints
        from tasks import artifacts

        inputs = [artifacts.BACKBONE, artifacts.ACTIVATIONS, artifacts.TRANSFER_HEAD, artifacts.TRANSFER_HELD_OUT]
        params = self._params(setting)
        place = artifacts.CACHE / "finetune" / f"{setting.cut} {setting.learning_rate:g}{learnt}"
        return checkpoints.checkpoint_path(place, params, inputs, "tasks.tuning")

    def forget(self, setting: Setting) -> None:
        """Delete all checkpoints of a setting."""
        place = self.checkpoint(setting).parent
        for each in place.parent.glob(f"{place.name},*"):
            self.checkpoint(setting, each.name.removeprefix(place.name)).unlink(missing_ok=True)
        self.checkpoint(setting).unlink(missing_ok=True)

    def _params(self, setting: Setting):
        return replace(self.finetune, learning_rate=setting.learning_rate)
