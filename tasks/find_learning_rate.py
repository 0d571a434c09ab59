"""A plot of the loss over the learning rate, and the rate to begin with: a command for people, not a stage.

    python -m tasks.find_learning_rate finetune       (or transfer; after `dvc repro` of the stages before it)
"""

import argparse
from pathlib import Path

from graft.errors import reported
from tasks.params import DataParams, read_params


def models_of(stage: str, dataset):
    """The stage's own model before its first step, what it is trained on, and its parameters."""
    from tasks import artifacts, finetune, transfer

    if stage == "transfer":
        params = read_params("transfer", transfer.TransferParams)
        return *transfer.build_model(dataset, params)[:2], params
    params = read_params("finetune", finetune.FinetuneParams)
    head_shape = artifacts.read_json(artifacts.HEAD)
    return finetune.build_model(dataset, head_shape, artifacts.TRANSFER_HEAD)[0], dataset.splits["train"], params


def draw(rates, losses, suggested: float, now: float, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses)
    axes.axvline(suggested, color="tab:green", label=f"suggested: {suggested:.1e}")
    axes.axvline(now, color="tab:grey", linestyle="--", label=f"in params.yaml: {now:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=("transfer", "finetune"))
    stage, data = parser.parse_args().stage, read_params("data", DataParams)
    from pipeline.training import backend, examples, fitting, learning_rate
    from tasks import artifacts

    dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(data.images))
    dataset.fill()
    model, train, params = models_of(stage, dataset)
    backend.make_deterministic(params.seed)
    fitting.prepare(model, params.optimizer, params.learning_rate, params.momentum, params.label_smoothing)
    rates, losses = learning_rate.sweep(model, train, batch_size=params.batch_size, seed=params.seed)
    suggested = learning_rate.suggestion(rates, losses)
    path = artifacts.LEARNING_RATE / f"{stage}.png"
    draw(rates, losses, suggested, params.learning_rate, path)
    print(f"{stage}.learning_rate: {suggested:.1e} is suggested, params.yaml says {params.learning_rate:g}. See {path}")


if __name__ == "__main__":
    with reported():
        main()
