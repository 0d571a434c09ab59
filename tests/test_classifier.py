import json
import weakref

import numpy as np
import pytest
from tiny_bundle import COLOURS, IMAGE_SIZE, make_bundle, make_images

from graft.errors import GraftError
from graft.images import UnreadableImage
from graft.model import bundle, unknown
from graft.model.classifier import BATCH_SIZE, Classifier, Prediction


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"), temperature=2.0)


def plain(colour):
    return np.full((*IMAGE_SIZE, 3), colour, dtype=np.uint8)


def test_probabilities_are_the_hand_made_softmax_over_the_temperature(folder):
    colour = np.array([100, 90, 80])
    distances = {name: ((colour - np.array(centre)) ** 2).sum() / 255**2 for name, centre in COLOURS.items()}
    weights = {name: np.exp(-10 * distance / 2.0) for name, distance in distances.items()}
    prediction = Classifier(folder).predict(plain(colour))
    expected = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    assert prediction.probabilities == pytest.approx(expected, abs=1e-6)
    assert list(prediction.probabilities) == sorted(expected, key=expected.get, reverse=True)
    assert prediction.label == max(expected, key=expected.get)
    assert prediction.probability == prediction.probabilities[prediction.label]


def test_a_file_its_bytes_and_its_array_get_one_answer(folder, tmp_path):
    path = next(make_images(tmp_path, images=1).glob("red/*.png"))
    classifier = Classifier(folder)
    answers = [classifier.predict(source) for source in (path, str(path), path.read_bytes(), classifier.read(path))]
    assert answers == [answers[0]] * 4


def test_many_images_are_answered_in_order_whatever_the_batches(folder, tmp_path):
    paths = sorted(make_images(tmp_path, images=BATCH_SIZE).glob("*/*.png"))
    paths.insert(5, tmp_path / "missing.png")
    classifier = Classifier(folder)
    answers = list(classifier.predict_many(iter(paths)))
    assert len(answers) == 3 * BATCH_SIZE + 1
    assert isinstance(answers[5], UnreadableImage)
    for path, answer in zip(paths, answers):
        if isinstance(answer, Prediction):
            assert answer.probabilities == pytest.approx(classifier.predict(path).probabilities, abs=1e-6)


def test_only_unreadable_images_are_no_error(folder, tmp_path):
    assert [str(answer) for answer in Classifier(folder).predict_many([b"", b"text"])] == ["empty file", "not an image"]


def test_a_strange_colour_is_unknown_and_a_learnt_one_is_not(folder):
    classifier = Classifier(folder)
    limit = classifier.description.unknown_threshold
    for name, colour in COLOURS.items():
        prediction = classifier.predict(plain(colour))
        assert (prediction.label, prediction.is_unknown) == (name, False)
    strange = classifier.predict(plain((255, 0, 255)))
    assert strange.is_unknown and strange.unknown_score > limit


def test_without_a_reference_nothing_is_unknown(folder, tmp_path):
    copy = change(folder, tmp_path, unknown_threshold=None)
    (copy / bundle.UNKNOWN).unlink()
    prediction = Classifier(copy).predict(plain((255, 0, 255)))
    assert (prediction.unknown_score, prediction.is_unknown) == (0, False)


def test_the_last_batch_of_one_and_extreme_logits_stay_finite(folder):
    logits = np.array([[5000, -5000, 0]], dtype=np.float32)
    assert Classifier(folder).probabilities(logits).tolist() == [[1, 0, 0]]


def change(folder, tmp_path, **changes):
    """A copy of the bundle with another description."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    content = json.loads((copy / bundle.DESCRIPTION).read_text())
    (copy / bundle.DESCRIPTION).write_text(json.dumps({**content, **changes}))
    return copy


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": ["a", "b"]}, "logits: expected any × 2, received any × 3"),
        ({"image_size": [32, 24]}, "images: expected any × 32 × 24 × 3, received any × 24 × 32 × 3"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(folder, tmp_path, changes, said):
    with pytest.raises(GraftError, match=said):
        Classifier(change(folder, tmp_path, **changes))


def test_a_bundle_says_nothing_of_unsure_answers_unless_it_has_them_and_then_a_probability(folder, tmp_path):
    assert "unsure_up_to" not in json.loads((folder / bundle.DESCRIPTION).read_text())
    assert not Classifier(folder).predict(plain(COLOURS["red"])).is_unsure
    with pytest.raises(GraftError, match="unsure_up_to: expected a number from 0 to 1, or null, received 2"):
        Classifier(change(folder, tmp_path, unsure_up_to=2))


def test_a_reference_of_another_model_is_refused(folder, tmp_path):
    copy = change(folder, tmp_path)
    features = np.random.default_rng(1).normal(size=(20, 8))
    unknown.save(copy / bundle.UNKNOWN, unknown.fit(features, np.arange(20) % 3, 3))
    with pytest.raises(GraftError, match="features: expected any × 8, received any × 3"):
        Classifier(copy)


@pytest.mark.parametrize("name", [bundle.MODEL, bundle.UNKNOWN])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_file_is_named(folder, tmp_path, name, damage):
    path = change(folder, tmp_path) / name
    data = path.read_bytes()
    path.unlink() if damage == "missing" else path.write_bytes(data[: len(data) // 2])
    with pytest.raises(GraftError, match=f"{name}.*Pull the model again"):
        Classifier(path.parent)


def test_a_reason_that_is_kept_keeps_nothing_of_its_file(folder):
    class Data:
        pass

    def read(source):
        data = Data()
        seen.append(weakref.ref(data))
        raise UnreadableImage("not an image")

    seen = []
    reasons = list(Classifier(folder).predict_many(range(3), read))
    assert [str(reason) for reason in reasons] == ["not an image"] * 3
    assert [data() for data in seen] == [None] * 3
