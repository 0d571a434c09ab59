"""Write the model card: what a model is for, what it can be trusted with, and where it fails.

This is not a stage, because nothing depends on it: `tasks.publish` writes it for every version. `python -m tasks.card`
writes it by hand, to be read before.
"""


from pydantic import Field

from graft.errors import reported
from tasks.data import DataParams
from tasks.params import params, read_params, read_sections


@params
class CardParams:
    """What only people know about a model; empty if they do not say it."""

    intended_use: str
    out_of_scope: str
    licence: str = Field(pattern=r"^[a-z0-9.+-]*$")
    data_licence: str


def write(name: str) -> None:
    """Write card.md from what `evaluate` and the stages before it stored.

    Args:
        name: under which the model is published.

    Raises:
        GraftError: if one of their files is missing.
    """
    from graft.model.bundle import read_description
    from pipeline.evaluation import card, predictions
    from tasks import artifacts

    description, test = read_description(artifacts.BUNDLE), artifacts.read_test()
    metrics = artifacts.read_json(artifacts.METRICS)
    del metrics["held_out_accuracy"]            # the only one that is not of the test images
    stored = artifacts.read_table(artifacts.PREDICTIONS, predictions.columns(description.class_names))
    artifacts.write_text(artifacts.CARD, card.write_card(card.Sources(
        name=name, data=read_params("data", DataParams).folder.name,
        words=vars(read_params("card", CardParams)), description=description,
        answers=predictions.to_answers(stored[~test["is_copy"]]), metrics=metrics,
        classes=artifacts.read_table(artifacts.CLASSES, artifacts.CLASS_COLUMNS),
        splits=artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS),
        chosen={"kept": artifacts.read_json(artifacts.FINETUNE_SUMMARY)["kept"],
                "reason": artifacts.read_json(artifacts.CHOICE)["reason"]},
        confidence=read_sections()["evaluate"]["confidence"], verdict=artifacts.read_json(artifacts.VERDICT),
    )))


def main() -> None:
    """Write the card, and print where it is."""
    from tasks import artifacts
    from tasks.publish import PublishParams

    write(read_params("publish", PublishParams).name)
    print(artifacts.CARD)


if __name__ == "__main__":
    with reported():
        main()
