"""The ranking of images without a label, against one by hand, and `graft select` as a user calls it."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import COLOURS, make_bundle, make_images

from graft.cli import main as cli
from graft.model.classifier import Prediction
from graft.predict.ranking import rank, uncertainty


def answer(first: float, is_unknown: bool = False) -> Prediction:
    return Prediction("a", {"a": first, "b": 1 - first}, 1.0, is_unknown)


def on_circle(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def by_hand(features, weights, labelled) -> list[int]:
    """Greedy k-center, written out."""
    centres, order = [np.array(each) for each in labelled], []
    while len(order) < len(features):
        worth = {each: weights[each] * min([np.linalg.norm(features[each] - centre) for centre in centres], default=2)
                 for each in range(len(features)) if each not in order}
        order.append(max(worth, key=worth.get))
        centres.append(features[order[-1]])
    return order


@pytest.mark.parametrize("labelled", [on_circle(0, 200), np.zeros((0, 2))])
def test_the_ranking_is_the_one_by_hand(labelled):
    rng = np.random.default_rng(1)
    features, weights = on_circle(*rng.uniform(0, 360, 25)), rng.uniform(0.1, 1, 25)
    order = by_hand(features, weights, labelled)
    lengths = rng.uniform(1, 9, (25, 1))        # do not count
    assert rank(features * lengths, weights, 3 * labelled, 25).tolist() == order
    assert rank(features, weights, labelled, 7).tolist() == order[:7]


def test_of_copies_only_one_comes_first_and_a_sure_answer_comes_last():
    features = on_circle(90, 90, 90, 180, 100)
    assert rank(features, [1, 1, 1, 0.9, 0.01], on_circle(0), 5).tolist()[:2] == [3, 0]
    assert rank(features, [0.1, 0.1, 0.1, 0, 0.1], on_circle(0), 2).tolist() == [4, 0]


def test_an_unknown_image_is_as_uncertain_as_can_be():
    assert uncertainty(answer(0.9)) == pytest.approx(0.2)
    assert uncertainty(answer(0.5)) == 1 == uncertainty(answer(0.99, is_unknown=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("select")
    make_bundle(folder / "model")
    make_images(folder / "images", spread=5, images=4)
    return folder


def select(capsys, *arguments) -> tuple[str, str, int]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["select", *map(str, arguments)])
    out, err = capsys.readouterr()
    return out, err, ended.value.code or 0


def test_the_unknown_image_comes_first_in_every_style(folder, capsys):
    Image.new("RGB", (32, 24), (255, 0, 255)).save(folder / "images/strange.png")
    (folder / "images/broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "images/notes.txt").write_text("no image")
    common = (folder / "images", "--model", folder / "model", "--count", 3)
    out, err, code = select(capsys, *common, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 1 and "1 of 14 images could not be read" in err and "notes.txt" in err
    assert [row["source"].rpartition("/")[2] for row in rows][::3] == ["strange.png", "broken.jpg"] and len(rows) == 4
    assert rows[0]["is_unknown"] == "True" and set(COLOURS) == {each[12:] for each in rows[0] if each[:12] ==
                                                                "probability_"}
    assert rows[3]["error"].startswith("broken or truncated") and not rows[3]["label"]
    (folder / "images/broken.jpg").unlink()
    out, _, code = select(capsys, *common, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [each["source"] for each in answers] == [row["source"] for row in rows[:3]]
    out, _, _ = select(capsys, *common)
    assert out.startswith(f"{folder}/images/strange.png: unknown, most similar to ") and out.count("\n") == 3


@pytest.mark.parametrize("arguments, message", [
    (("--count", "0"), "expected a whole number from 1"), (("--count", "x"), "expected a whole number from 1"),
    (("--model", "./nowhere"), "nowhere")])
def test_what_cannot_be_done_is_said_in_one_message(folder, capsys, arguments, message):
    _, err, code = select(capsys, folder / "images", "--model", folder / "model", *arguments)
    assert code == 2 and message in err and "Traceback" not in err


def test_a_folder_without_images_is_an_error_row(folder, capsys, tmp_path):
    out, err, code = select(capsys, tmp_path, "--model", folder / "model", "--csv")
    assert code == 1 and "the folder contains no image" in out and "1 of 1 images" in err
