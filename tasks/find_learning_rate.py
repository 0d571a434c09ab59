"""Plot the loss over the learning rate, and suggest a rate to begin with: a command for people, not a stage.

    python -m tasks.find_learning_rate finetune       (or transfer; run the stages before it first)
"""

import argparse
from pathlib import Path

from graft.errors import reported
from tasks.data import DataParams
from tasks.params import read_params


def model_before(stage: str, dataset):
    """The model of `transfer` or `finetune` before its first step, its training examples, and its parameters."""
    from tasks import artifacts, finetune, transfer, tuning

    if stage == "transfer":
        fit = read_params("transfer", transfer.TransferParams)
        return *transfer.build_model(dataset, fit)[:2], fit
    fit = read_params("finetune", finetune.FinetuneParams)
    shape = {key: artifacts.read_json(artifacts.HEAD)[key] for key in ("hidden_units", "dropout")}
    [weights] = tuning.start_heads(dataset.splits["train"].activations.images, dataset.splits["train"].paths)
    return tuning.build_model(dataset, shape, weights)[0], dataset.splits["train"], fit


def draw(rates, losses, suggested: float, now: float | str, path: Path) -> None:
    """Write a PNG.

    Args:
        rates, losses: see `pipeline.training.learning_rate.sweep`.
        suggested: the suggested learning rate.
        now: the learning rate in params.yaml, a number or `auto`.
        path: for the PNG; its folder is created if necessary.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses)
    axes.axvline(suggested, color="tab:green", label=f"suggested: {suggested:.1e}")
    if now != "auto":
        axes.axvline(now, color="tab:grey", linestyle="--", label=f"in params.yaml: {now:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Run the sweep, write the plot and print the suggestion."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=("transfer", "finetune"))
    stage, data = parser.parse_args().stage, read_params("data", DataParams)
    from pipeline.training import backend, examples, fitting, learning_rate
    from tasks import artifacts

    dataset = examples.open_dataset(**artifacts.read_extracted(), images=data.folder)
    dataset.fill()
    model, train, fit = model_before(stage, dataset)
    backend.make_deterministic(fit.seed)
    fitting.prepare(model, fit.optimizer, fit.momentum, fit.label_smoothing)
    rates, losses = learning_rate.sweep(model, train, batch_size=fit.batch_size, seed=fit.seed)
    suggested = learning_rate.suggestion(rates, losses)
    path = artifacts.LEARNING_RATE / f"{stage}.png"
    draw(rates, losses, suggested, fit.learning_rate, path)
    print(f"{stage}.learning_rate: {suggested:.1e} suggested, {fit.learning_rate} in params.yaml. See {path}")


if __name__ == "__main__":
    with reported():
        main()
