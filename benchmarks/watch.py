"""What `graft watch` notices: `python -m benchmarks.watch DATA WEIGHTS [--sets cats_dogs flowers] [--folder FOLDER]`.

    false alarms        comparisons without any change: resamples of the answers to the test images, and one half of the
                        test images beside the other
    alarms              windows of 1,000 images that were changed, drawn from the test images
    expected accuracy   beside the true one, on eight changed sets

DATA has a folder of photographs for each set, WEIGHTS has Keras's. Each set's model, MobileNetV2, is trained once into
`--folder`, with 45 % of the images for the test.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks import inputs
from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import Project
from graft.errors import reported
from graft.model.classifier import Classifier
from graft.watch.accuracy import expected_accuracy
from graft.watch.comparison import compare_classes, compare_images
from graft.watch.figures import Figures
from graft.watch.reference import Reference, make_reference
from tasks import artifacts

SETS = ("cats_dogs", "flowers")
STAGES = ("code", "validate", "split", "extract", "transfer", "choose", "finetune", "export", "evaluate")
IMAGES, RESAMPLES, DRAWS = 1000, 1000, 200
FOREIGN = 0.1
BATCH = 32


def main() -> None:
    options = begin(__doc__, "data", "weights", sets=SETS, folder=str(Path.home() / ".cache/graft/benchmarks.watch"))
    for name in options.sets:
        project = train(Path(options.folder, name), options.data.resolve() / name, options.weights.resolve())
        measure(name, Classifier(project / artifacts.BUNDLE), project, options.data.resolve())


def train(folder: Path, images: Path, weights: Path) -> Path:
    """Train a model unless that was done before. Returns the project's folder."""
    if not (folder / artifacts.PREDICTIONS).exists():
        project = Project(folder, **{"data.images": str(images), **inputs.mobilenet(weights), "split.test_share": 0.45,
                                     "extract.backbone.cut": "auto"})
        for stage in STAGES:
            project.run("dvc", "repro", "--single-item", stage)
    return folder


@dataclass
class Answers:
    """A model's answers to images; rows are images."""

    classifier: Classifier
    probabilities: np.ndarray
    scores: np.ndarray
    brightness: np.ndarray
    labels: np.ndarray          # -1 for an image of no class

    @cached_property
    def is_unknown(self) -> np.ndarray:
        return self.scores > (self.classifier.description.unknown_threshold or np.inf)

    def __getitem__(self, rows: np.ndarray) -> "Answers":
        return Answers(self.classifier, self.probabilities[rows], self.scores[rows], self.brightness[rows],
                       self.labels[rows])

    def __add__(self, other: "Answers") -> "Answers":
        parts = ((getattr(self, name), getattr(other, name)) for name in ("probabilities", "scores", "brightness",
                                                                          "labels"))
        return Answers(self.classifier, *map(np.concatenate, parts))

    @property
    def figures(self) -> Figures:
        figures = Figures.none(self.classifier.class_names)
        figures.count(self.probabilities, self.scores, self.is_unknown, np.zeros(len(self.scores), bool))
        figures.count_brightness(self.brightness)
        return figures

    @property
    def reference(self) -> Reference:
        reference = make_reference("", self.classifier.class_names, self.probabilities, self.scores, self.is_unknown,
                                   self.labels)
        reference.figures.count_brightness(self.brightness)
        return reference

    @property
    def accuracy(self) -> float:
        """Of the answers that are not "unknown"."""
        return float((self.probabilities.argmax(axis=1) == self.labels)[~self.is_unknown].mean())


def answer(classifier: Classifier, paths: list[Path], labels: list[int], change: Callable) -> Answers:
    """The answers to images after a change."""
    parts = []
    for start in range(0, len(paths), BATCH):
        changed = (np.asarray(change(Image.open(path).convert("RGB"))) for path in paths[start:start + BATCH])
        images = np.stack([classifier.read(each) for each in changed])
        parts += classifier.predict_batch(images)
    probabilities = [[each.probabilities[name] for name in classifier.class_names] for each in parts]
    return Answers(classifier, np.array(probabilities), np.array([each.unknown_score for each in parts]),
                   np.array([each.brightness for each in parts]), np.array(labels))


def measure(name: str, classifier: Classifier, project: Path, data: Path) -> None:
    split = artifacts.read_table(project / artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    test = split[split["split"] == "test"]
    paths = [data / name / path for path in test["path"]]
    labels = [classifier.class_names.index(label) for label in test["label"]]
    plain = answer(classifier, paths, labels, lambda image: image)
    others = [path for folder in sorted(data.iterdir()) if folder.is_dir() and folder.name != name
              for path in sorted(folder.glob("*/*.jpg"))[::25]]
    foreign = answer(classifier, others, [-1] * len(others), lambda image: image)
    print(f"\n{name}: {len(paths)} test images, accuracy {plain.accuracy:.1%} without “unknown”\n", flush=True)
    print_false_alarms(plain)
    changed = {"one class three times as often": plain} | {
        what: answer(classifier, paths, labels, change) for what, change in CHANGES.items()}
    print_alarms(plain, changed, foreign)


def has_alarm(reference: Figures, now: Figures) -> bool:
    changes = compare_images(reference, now)
    return bool(changes) or any(each.has_changed for each in compare_classes(reference, now))


def print_false_alarms(plain: Answers) -> None:
    rng, images, whole = np.random.default_rng(1), len(plain.labels), plain.figures
    resampled = [has_alarm(whole, plain[rng.integers(0, images, IMAGES)].figures) for _ in range(RESAMPLES)]
    halves = [rng.permutation(images) for _ in range(RESAMPLES)]
    split = [has_alarm(plain[rows[::2]].figures, plain[rows[1::2]].figures) for rows in halves]
    print(f"false alarms: {np.mean(resampled):.1%} of {RESAMPLES} resamples, {np.mean(split):.1%} of as many halves")


def print_alarms(plain: Answers, changed: dict[str, Answers], foreign: Answers) -> None:
    rng, reference, inside = np.random.default_rng(2), plain.reference, []
    print_head("change", f"alarms of {DRAWS}", "accuracy", "expected", "inside")
    for what, answers in changed.items():
        weights = 1.0 + 2.0 * ((answers.labels == 0) & (answers is plain))
        rows = [rng.choice(len(weights), IMAGES, p=weights / weights.sum()) for _ in range(DRAWS)]
        alarms = np.mean([has_alarm(reference.figures, answers[each].figures) for each in rows])
        seen = answers[rows[0]] if answers is plain else answers
        if expected := expected_accuracy(reference, seen.figures):
            inside.append(expected.low <= seen.accuracy <= expected.high)
            print_row(what, f"{alarms:.0%}", f"{seen.accuracy:.1%}", expected, "yes" if inside[-1] else "no")
        else:
            print_row(what, f"{alarms:.0%}", "–", "all are unknown", "–")
    mixed = [plain[rng.integers(0, len(plain.labels), round(IMAGES * (1 - FOREIGN)))]
             + foreign[rng.integers(0, len(foreign.labels), round(IMAGES * FOREIGN))] for _ in range(DRAWS)]
    alarms = np.mean([has_alarm(reference.figures, each.figures) for each in mixed])
    print_row(f"{FOREIGN:.0%} foreign pictures", f"{alarms:.0%}", f"{mixed[0].accuracy:.1%}",
              expected_accuracy(reference, mixed[0].figures), "–")
    print(f"inside the interval: {sum(inside)} of {len(inside)}", flush=True)


def jpeg(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=10)
    return Image.open(stream)


def noise(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return (pixels + np.random.default_rng(pixels.size).normal(0, 25, pixels.shape)).clip(0, 255).astype(np.uint8)


def coarse(image: Image.Image) -> Image.Image:
    return image.resize((max(image.width // 4, 1), max(image.height // 4, 1))).resize(image.size)


CHANGES: dict[str, Callable] = {
    "JPEG of quality 10": jpeg,
    "20 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "20 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "blurred by 2 px": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "half the contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "noise of 25": noise,
    "a quarter of the resolution": coarse,
}


if __name__ == "__main__":
    with reported():
        main()
