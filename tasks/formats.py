"""What `tasks.export` does with the formats beside ONNX: write them, and keep those that are as good."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from graft.errors import GraftError

CALIBRATION_IMAGES = 200        # from train, for the ranges of an int8 model; LiteRT's guide advises 100 to 500
PAIRED_IMAGES = 1000            # from val, on which int8 models are compared with ONNX's accuracy
SIGNIFICANCE = 0.05             # of their loss of accuracy
AGREEMENTS = {"same_label": "label", "same_unknown": "answer to whether an image is unknown"}


def write_formats(folder: Path, dataset, model, images: Path, names: list[str]) -> None:
    """Write further formats of the model.

    Args:
        folder: the bundle.
        dataset: see `pipeline.training.examples.open_dataset`.
        model: see `load_model`.
        images: the folder of the images, some of which calibrate an int8 model.
        names: the formats.

    Raises:
        GraftError: if a format's library is not installed.
    """
    from pipeline.training import formats, parity

    chosen = parity.sample_each_class(dataset.splits["train"], CALIBRATION_IMAGES)
    calibration = partial(parity.read_images, [images / path for path in chosen], dataset.part.image_size)
    for format in sorted(set(names)):
        try:
            formats.write(format, model, folder, calibration)
        except ImportError as error:
            extra = format.partition("_")[0]
            raise GraftError(f"params.yaml: export.formats: {format} needs '{error.name}': "
                             f"pip install 'graft[{extra}]', or remove the format.") from error


def keep_accurate(folder: Path, val, images: Path, names: list[str]) -> list[str]:
    """Remove the int8 formats that a paired test finds less accurate than ONNX, and say so.

    Args:
        folder: the bundle.
        val: `pipeline.training.examples.Examples`.
        images: the folder of the images.
        names: the formats.

    Returns:
        The other formats.
    """
    from graft.model.bundle import FORMATS
    from pipeline.evaluation.paired import chance_of

    is_right, kept = _are_right(folder, val, images, names), list(names)
    for name in sorted(is_right.keys() - {"onnx"}):
        lost, won = (int((is_right[one] & ~is_right[other]).sum()) for one, other in (("onnx", name), (name, "onnx")))
        if chance_of(lost, won) < SIGNIFICANCE:
            (folder / FORMATS[name][0]).unlink()
            kept = [each for each in kept if each != name]
            print(f"{name}: not kept, because it is less accurate: of {len(is_right[name])} val images, {lost} are "
                  f"right by onnx alone and {won} by {name} alone")
    return kept


def _are_right(folder: Path, val, images: Path, names: list[str]) -> dict:
    """Whether answers to val images are right, bool `(images,)`, by ONNX and each int8 format; empty without one."""
    import pandas as pd

    from pipeline.training import parity

    chosen = parity.sample_each_class(val, PAIRED_IMAGES)
    paths, labels = [images / path for path in chosen], pd.Series(val.labels, val.paths)[chosen].to_numpy()
    int8 = [name for name in sorted(set(names)) if name.endswith("_int8")]
    return {name: parity.published_answers(folder, paths, name)[0].argmax(axis=1) == labels
            for name in ["onnx", *int8] * bool(int8)}


def check_formats(folder: Path, model, images: list[Path], export) -> dict[str, dict]:
    """Measure how closely each format agrees with Keras.

    Args:
        folder: the bundle.
        model: see `load_model`.
        images: paths of val images.
        export: the parameters of `tasks.export`.

    Returns:
        format -> see `pipeline.training.parity.compare`.

    Raises:
        GraftError: if a probability differs by more than params.yaml allows; for int8, if too many answers differ.
    """
    from pipeline.training import parity

    names = ("onnx", *sorted(set(export.formats)))
    with ThreadPoolExecutor(1) as pool:         # other processes answer while Keras does
        published = pool.map(partial(parity.published_answers, folder, images), names)
        expected = parity.keras_answers(folder, model, images)
        agreements = {name: parity.compare(expected, answers) for name, answers in zip(names, published)}
    problems = []
    for format, found in agreements.items():
        if format.endswith("_int8"):
            problems += [f"{format} gives Keras's {what} for {found[key]:.1%} of {len(images)} val images, less than "
                         f"params.yaml: export.int8_agreement ({export.int8_agreement:.1%})"
                         for key, what in AGREEMENTS.items() if found[key] < export.int8_agreement]
        elif not found["largest_difference"] <= export.parity_tolerance:
            problems.append(f"{format} differs from Keras by {found['largest_difference']:.1e} in probability, more "
                            f"than params.yaml: export.parity_tolerance ({export.parity_tolerance:g})")
    if problems:
        raise GraftError("the exported model is rejected: " + "; ".join(problems) + ".")
    return agreements
