"""Stage `evaluate`: measure the bundle that will be published on the test images, and write the report."""

from pathlib import Path

from pydantic import Field

from graft.errors import reported
from tasks.data import DataParams
from tasks.params import params, read_params, read_sections


@params
class EvaluateParams:
    """How the metrics' intervals are computed."""

    confidence: float = Field(ge=0.5, le=0.999)
    bootstrap_draws: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0)


def write_plots(folder: Path, answers, description, histories: dict, choice: dict, confidence: float) -> None:
    """Write each plot as a PNG, and as a CSV file for `dvc plots`.

    Args:
        folder: for the files; created if necessary.
        answers: `pipeline.evaluation.predictions.Answers` to the test images.
        description: the bundle's `graft.model.bundle.Description`.
        histories: stage -> table with `artifacts.HISTORY_COLUMNS`.
        choice: the content of choice.json.
        confidence: of the intervals, 0 to 1.
    """
    from pipeline.evaluation import plots
    from pipeline.evaluation.choice import draw_choice
    from pipeline.evaluation.coverage import draw_coverage

    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "training": plots.training_table(histories), "confusion": plots.confusion_table(answers),
        "roc": plots.roc_table(answers), "precision_recall": plots.precision_recall_table(answers),
        "reliability": plots.reliability_table(answers, description.temperature),
    }
    figures = {
        "training": plots.draw_training(tables["training"]), "confusion": plots.draw_confusion(answers),
        "roc": plots.draw_roc(answers), "precision_recall": plots.draw_precision_recall(answers),
        "reliability": plots.draw_reliability(tables["reliability"]), "choice": draw_choice(choice),
        "coverage": draw_coverage(answers, confidence),
    }
    if description.unknown_threshold is not None:
        figures["unknown"] = plots.draw_unknown(answers, description.unknown_threshold)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    for name, figure in figures.items():
        plots.save_png(figure, folder / f"{name}.png")


def read_training(artifacts) -> tuple[dict, dict]:
    """The histories, stage -> table, and the summaries, stage -> dict, of `transfer` and `finetune`."""
    stages = {
        "transfer": (artifacts.TRANSFER_HISTORY, artifacts.TRANSFER_SUMMARY),
        "finetune": (artifacts.FINETUNE_HISTORY, artifacts.FINETUNE_SUMMARY),
    }
    histories = {name: artifacts.read_table(paths[0], artifacts.HISTORY_COLUMNS) for name, paths in stages.items()}
    return histories, {name: artifacts.read_json(paths[1]) for name, paths in stages.items()}


def held_out_accuracy(confidence: float) -> dict:
    """The accuracy on the images outside test, each answered before it was learnt from; see `metrics.share`.

    The choice of the head has seen these images, so that this figure is slightly better than it should be.
    """
    from pipeline.evaluation import metrics
    from tasks import artifacts, held_out

    table, logits = held_out.of_kept(artifacts.read_json(artifacts.FINETUNE_SUMMARY)["kept"])
    return metrics.share(logits.argmax(axis=1) == artifacts.read_labels(table)[0], confidence)


def read_chosen(artifacts) -> dict:
    """How the model was chosen; see `pipeline.evaluation.report.Sources`."""
    finetune = artifacts.read_json(artifacts.FINETUNE_SUMMARY)
    return {
        "choice": artifacts.read_json(artifacts.CHOICE), "finetune": finetune, "kept": finetune["kept"],
        "trials": artifacts.read_table(artifacts.TRIALS, artifacts.TRIAL_COLUMNS).to_dict("records"),
        "candidates": artifacts.read_table(artifacts.CANDIDATES, artifacts.CANDIDATE_COLUMNS).to_dict("records"),
    }


def evaluate_bundle(evaluate: EvaluateParams, images: Path) -> dict:
    """Predict the test images, then write all other outputs from the stored predictions; a picture counts once.

    Args:
        evaluate: the stage's parameters.
        images: the folder of the images.

    Returns:
        The content of metrics.json.

    Raises:
        GraftError: if an input is missing, or an image cannot be read.
    """
    from graft.model.classifier import Classifier
    from pipeline.evaluation import metrics, predictions, report
    from pipeline.evaluation.suspects import label_suspects
    from pipeline.evaluation.verdict import give_verdict
    from tasks import artifacts

    classifier = Classifier(artifacts.BUNDLE)
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    columns = predictions.columns(classifier.class_names)
    test = artifacts.read_test()
    artifacts.write_table(artifacts.PREDICTIONS, predictions.predict_table(classifier, test, images), columns)
    stored = artifacts.read_table(artifacts.PREDICTIONS, columns)
    answers = predictions.to_answers(stored[~test["is_copy"]])
    with report.heatmaps_meanwhile(classifier, answers, images) as maps:
        overall, classes = metrics.measure(answers, classifier.description.temperature, **vars(evaluate))
        overall["held_out_accuracy"] = held_out_accuracy(evaluate.confidence)
        (histories, summaries), chosen = read_training(artifacts), read_chosen(artifacts)
        suspects, settled = unsettled(label_suspects(answers), test[~test["is_copy"]]["sha256"], images)
        verdict = give_verdict(answers, overall["accuracy"], classes, len(suspects), chosen["choice"]["twice"],
                               classifier.description.unknown_threshold is not None)
        write_plots(artifacts.PLOTS, answers, classifier.description, histories, chosen["choice"], evaluate.confidence)
        artifacts.write_text(artifacts.REPORT, report.write_report(report.Sources(
            model=read_sections()["publish"]["name"], classifier=classifier, answers=answers, images=images,
            metrics=overall, classes=classes, splits=splits, copies=int(test["is_copy"].sum()), plots=artifacts.PLOTS,
            stages=summaries, chosen=chosen, confidence=evaluate.confidence, verdict=verdict, suspects=suspects,
            settled=settled, heatmaps=maps,
            findings=artifacts.read_json(artifacts.DATA_FINDINGS) if artifacts.DATA_FINDINGS.exists() else None,
        )))
    artifacts.write_table(artifacts.CLASSES, classes, artifacts.CLASS_COLUMNS)
    artifacts.write_json(artifacts.METRICS, overall)
    artifacts.write_json(artifacts.SUMMARY, summarize(overall))
    artifacts.write_json(artifacts.VERDICT, [{"question": each, "answer": verdict[each]} for each in verdict])
    return overall


def unsettled(suspects, sha256, images: Path) -> tuple:
    """The suspects that nobody has decided to keep or to relabel, in their order, and how many others there are.

    Args:
        suspects: see `pipeline.evaluation.suspects.label_suspects`.
        sha256: of the files, a Series in the order of the answers.
        images: the folder of the images, which has the decisions beside it.
    """
    from pipeline.intake.decisions import read_decisions, table_of

    is_settled = sha256.isin(list(read_decisions(table_of(images)))).to_numpy()[suspects]
    return suspects[~is_settled], int(is_settled.sum())


def summarize(overall: dict) -> dict[str, float]:
    """What `dvc metrics show` prints in a row: some metrics, the lower end of the accuracy's interval, the images."""
    values = {name: overall[name]["value"] for name in ("accuracy", "balanced_accuracy", "log_loss")}
    return values | {"accuracy_low": overall["accuracy"]["low"], "images": overall["accuracy"]["images"]}


def main() -> None:
    """Run the stage and print the accuracy."""
    evaluate, data = read_params("evaluate", EvaluateParams), read_params("data", DataParams)
    accuracy = evaluate_bundle(evaluate, data.folder)["accuracy"]
    print("accuracy {value:.1%} ({low:.1%} to {high:.1%}) on {images} test images".format(**accuracy))


if __name__ == "__main__":
    with reported():
        main()
