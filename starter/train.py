"""Stage `train`: the backbone learns to predict what each picture was made from.

A CPU processes a few hundred thousand pictures in half an hour, too few to learn from class labels alone. So the
network also predicts the object's mask, cell by cell, and the strength of the background's edges at each scale and in
each direction, which the generator knows anyway.
"""

import json
from collections.abc import Iterator
from functools import partial
from math import isqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import h5py
import keras
import numpy as np
from keras import layers
from pydantic import Field
from tqdm import tqdm

from graft.errors import reported
from graft.machine.files import whole
from graft.machine.threads import InThreads
from pipeline.training import backbones, backend
from starter.generate import OUTPUTS, PARAMS, Pictures, read_pictures
from tasks.params import params, read_params

WEIGHTS, METRICS = Path("pipeline/training/starter.weights.h5"), Path("starter/training.json")
BACKBONE = "MobileNetV2"
FINE, COARSE = "block_6_expand_relu", "block_13_expand_relu"        # an eighth and a sixteenth of the picture's side
LOSS_WEIGHTS = {"mask": 4.0, "ground": 1.0, "shape": 0.3, "texture": 0.3}
BUFFERED = 4            # batches prepared in advance
REPORTED = 100          # steps between two printed lines


@params
class PhaseParams:
    size_px: int = Field(ge=32, le=512)
    batch_size: int = Field(ge=1, le=4096)
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)


@params
class TrainParams:
    """Phases run in order, each with its own schedule: small pictures first, which cost less."""

    alpha: float
    phases: list[PhaseParams] = Field(min_length=1)
    weight_decay: float = Field(ge=0, le=1)
    label_smoothing: float = Field(ge=0, le=0.5)
    seed: int = Field(ge=0)


def main() -> None:
    params = read_params("train", TrainParams, PARAMS)
    backend.make_deterministic(params.seed)
    cv2.setNumThreads(1)
    network, metrics = train(params, read_pictures(OUTPUTS))
    save_half(network, WEIGHTS)
    METRICS.write_text(json.dumps(metrics, indent=2) + "\n")


def train(params: TrainParams, data: Pictures) -> tuple[keras.Model, list[dict]]:
    """Train all phases. Returns the backbone, for pictures of the last phase's size, and the metrics of each phase."""
    metrics, weights = [], None
    for number, phase in enumerate(params.phases):
        classes = (int(data.labels[:, 0].max()) + 1, int(data.labels[:, 1].max()) + 1)
        network, model = build_model(phase.size_px, params.alpha, classes, data.descriptors.shape[1])
        if weights is not None:
            carry_over(weights, model)
        compile_model(model, phase, params.weight_decay, params.label_smoothing)
        make = partial(_batch, data, model.output, phase.size_px)
        with InThreads(make, chosen(len(data.labels), phase, (params.seed, number)), 1, ahead=BUFFERED) as batches:
            metrics.append(fit(model, batches, phase.steps))
        weights = model.get_weights()
    return network, metrics


def carry_over(weights: list[np.ndarray], model: keras.Model) -> None:
    """Copy the weights of the previous phase, except the mask head's, whose number of cells differs."""
    pairs = zip(weights, model.get_weights())
    model.set_weights([before if before.shape == now.shape else now for before, now in pairs])


def build_model(size_px: int, alpha: float, classes: tuple[int, int], ground: int) -> tuple[keras.Model, keras.Model]:
    """The backbone, and a model with all heads by name, `what_where`, each linear in the features.

    Two earlier layers have heads too. They carry the gradient into a deep and narrow network that otherwise learns
    almost nothing for a thousand steps (deep supervision: Lee et al. 2015).
    """
    network = backbones.build(BACKBONE, (size_px, size_px), alpha)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.99       # Keras's 0.999 is too slow for a few thousand steps
    fine, coarse = network.get_layer(FINE).output, network.get_layer(COARSE).output
    pooled = {"fine": _pool(fine), "coarse": _pool(coarse), "end": _pool(network.output)}
    heads = {
        "mask_fine": layers.Flatten()(layers.Conv2D(1, 1)(fine)),
        "mask_coarse": layers.Flatten()(layers.Conv2D(1, 1)(coarse)),
        "mask_end": layers.Dense(coarse.shape[1] ** 2)(pooled["end"]),
    }
    for where, features in pooled.items():
        heads[f"ground_{where}"] = layers.Dense(ground)(features)
    for where in ("coarse", "end"):
        heads[f"shape_{where}"], heads[f"texture_{where}"] = (layers.Dense(count)(pooled[where]) for count in classes)
    named = {name: layers.Identity(name=name)(output) for name, output in heads.items()}
    return network, keras.Model(network.input, named)


def compile_model(model: keras.Model, phase: PhaseParams, weight_decay: float, label_smoothing: float) -> None:
    """AdamW with a warm-up over a twentieth of the steps, then cosine decay."""
    warmup = max(1, phase.steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, phase.steps - warmup), warmup_target=phase.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay, clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    of_class = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    losses = {"mask": keras.losses.BinaryCrossentropy(from_logits=True), "ground": keras.losses.MeanSquaredError(),
              "shape": of_class, "texture": of_class}
    names = list(model.output)
    model.compile(
        optimizer,
        {name: losses[name.split("_")[0]] for name in names},
        loss_weights={name: LOSS_WEIGHTS[name.split("_")[0]] for name in names},
        weighted_metrics={name: ["accuracy"] for name in names if name in ("shape_end", "texture_end")},
    )


def fit(model: keras.Model, data: Iterator, steps: int) -> dict:
    """Train on `data`. Returns the mean losses, and the last layer's accuracies, over the last `REPORTED` steps."""
    recent: list[dict] = []
    for step, (pictures, answers, has_answer) in enumerate(tqdm(data, total=steps, unit="step", disable=None), 1):
        model.reset_metrics()
        logs = model.train_on_batch(pictures, answers, sample_weight=has_answer, return_dict=True)
        recent = [*recent[1 - REPORTED :], {name: float(value) for name, value in logs.items()}]
        if step % REPORTED == 0 or step == steps:
            print(f"step {step}: {_mean(recent)}", flush=True)
    return _mean(recent)


def chosen(pictures: int, phase: PhaseParams, seed: tuple) -> Iterator[tuple[np.ndarray, tuple]]:
    """The pictures of each step of a phase, in a new order each round, and the seed of its light."""
    random, order = np.random.default_rng(seed), np.empty(0, int)
    for step in range(phase.steps):
        while len(order) < phase.batch_size:
            order = np.concatenate([order, random.permutation(pictures)])
        yield order[: phase.batch_size], (*seed, step)
        order = order[phase.batch_size :]


def _batch(data: Pictures, outputs: dict, size_px: int, step: tuple[np.ndarray, tuple]) -> tuple:
    pictures, seed = step
    return jittered(data.pictures, pictures, size_px, np.random.default_rng(seed)), *answers(data, pictures, outputs)


def answers(data: Pictures, chosen: np.ndarray, outputs: dict) -> tuple[dict, dict]:
    """The target of each output, and each picture's weight: 1 where it has a target, otherwise 0."""
    labels, expected, has_answer = data.labels[chosen], {}, {}
    ground = (data.descriptors - data.descriptors.mean(axis=0)) / data.descriptors.std(axis=0)
    for name, output in outputs.items():
        what, label = name.split("_")[0], labels[:, 0 if name.startswith("shape") else 1]
        has_answer[name] = np.ones(len(chosen), np.float32) if what == "mask" else (label >= 0).astype(np.float32)
        if what == "mask":
            side = isqrt(output.shape[1])
            masks = [cv2.resize(data.masks[i], (side, side), interpolation=cv2.INTER_AREA) for i in chosen]
            expected[name] = np.stack(masks).reshape(len(chosen), -1).astype(np.float32) / 255
        elif what == "ground":
            expected[name] = ground[label].astype(np.float32)
        else:
            expected[name] = np.eye(output.shape[-1], dtype=np.float32)[label]
    return expected, has_answer


def jittered(pictures, chosen, size_px: int, random) -> np.ndarray:
    """The chosen pictures in varied light, some as negatives: float32 `(chosen, size_px, size_px, 3)`, 0 to 255."""
    size = (size_px, size_px)
    views = np.stack([cv2.resize(pictures[i], size, interpolation=cv2.INTER_AREA) for i in chosen]).astype(np.float32)
    gains = random.uniform(0.8, 1.2, (len(chosen), 1, 1, 1)) * random.uniform(0.9, 1.1, (len(chosen), 1, 1, 3))
    views = views * gains.astype(np.float32) + random.uniform(-20, 20, (len(chosen), 1, 1, 1)).astype(np.float32)
    negative = random.random(len(chosen)) < 0.2
    views[negative] = 255 - views[negative]
    return np.clip(views, 0, 255)


def save_half(network: keras.Model, path: Path) -> None:
    """Write the weights as float16, in half the space; Keras reads them into float32 variables."""
    with TemporaryDirectory() as folder:
        network.save_weights(Path(folder) / "float32.weights.h5")
        with (whole(path) as half, h5py.File(Path(folder) / "float32.weights.h5") as source,
              h5py.File(half, "w") as target):
            source.visititems(lambda name, item: _copy_half(target, name, item))


def _copy_half(target: h5py.File, name: str, item) -> None:
    if isinstance(item, h5py.Dataset):
        target.create_dataset(name, data=item[...].astype(np.float16), track_times=False)
    else:
        target.require_group(name).attrs.update(item.attrs)


def _pool(features):
    return layers.GlobalAveragePooling2D()(features)


def _mean(logs: list[dict]) -> dict:
    return {name: round(float(np.mean([each[name] for each in logs])), 4) for name in logs[0]}


if __name__ == "__main__":
    with reported():
        main()
