"""From a folder of images to a project that is set up for it: what is seen, chosen, written and refused."""

import shutil
import tracemalloc
from pathlib import Path

import pytest
from intake_images import jpeg, picture, write_classes
from PIL import Image, ImageDraw

from benchmarks.scratch import Project
from flows import start
from graft.errors import GraftError
from graft.images import MAX_BYTES
from pipeline.intake.survey import _look
from tasks import choices
from tasks.params import read_sections

IMAGENET = choices.Weights("imagenet", 1.0, "ImageNet's weights")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project without a network: Keras's cache is empty, and the address of the weights leads nowhere."""
    Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(choices, "IMAGENET_URL", "http://127.0.0.1:9/weights.h5")
    return tmp_path


def values(images: str = "data/pets", weights=IMAGENET) -> dict:
    return choices.choose(Path(images), start.look(Path(images)), weights)


def test_a_folder_with_blanks_is_set_up_offline_and_again_changes_nothing(project, capsys):
    write_classes(project / "data/My Pets", {"cat": 12, "dog": 12})
    before = (project / "params.yaml").read_text().splitlines()
    start.start("data/My Pets/")
    said = capsys.readouterr().out
    for part in ("24 files in 2 classes in data/My Pets: cat 12, dog 12", "colour photographs, about 160 × 120 pixels",
                 "the starter's weights: ImageNet's are not in", "keras/models/mobilenet_v2", "Connection refused",
                 "name of the model: my-pets", "`git add params.yaml 'data/My Pets.dvc' && git commit`",
                 "next:    python -m flows.training"):
        assert part in said
    assert len(said.splitlines()) <= 12
    after = (project / "params.yaml").read_text().splitlines()
    changed = [line.split()[0] for old, line in zip(before, after, strict=True) if old != line]
    assert changed == ["images:", "cut:", "learning_rate:", "name:"], "comments and other values stay"
    assert (project / "data/My Pets.dvc").is_file()
    files = {path: path.read_bytes() for path in (project / "params.yaml", project / "data/My Pets.dvc")}
    start.start("data/My Pets")
    assert "kept     params.yaml: it is set up for this folder" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in files} == files


def test_what_the_user_sets_afterwards_stays(project):
    write_classes(project / "data/pets", {"cat": 12, "dog": 12})
    start.start("data/pets", "starter")
    text = (project / "params.yaml").read_text().replace("name: pets", "name: mine")
    (project / "params.yaml").write_text(text.replace("images: data/pets", "images: ./data/pets/"))
    start.start("data/pets")
    assert read_sections()["publish"]["name"] == "mine"


def test_imagenets_weights_are_found_in_kerass_cache(project):
    file = project / "keras/models" / choices.IMAGENET_FILE
    file.parent.mkdir(parents=True)
    file.touch()
    write_classes(project / "data/pets", {"cat": 12, "dog": 12})
    choices.write_params(values(weights=choices.find_weights()))
    sections = read_sections()
    assert sections["extract"]["backbone"] | {"cut": ""} == {
        "name": "MobileNetV2", "alpha": 1.0, "image_size": [224, 224], "weights": "imagenet", "cut": ""}
    assert sections["finetune"]["learning_rate"] == sections["extract"]["backbone"]["cut"] == "auto"


def test_weights_that_cannot_be_had_are_refused(project):
    with pytest.raises(GraftError, match="ImageNet's weights are not in .* cannot be downloaded .*Connection refused"):
        choices.find_weights("imagenet")
    with pytest.raises(GraftError, match="--weights nowhere.h5: no such file or directory. Expected"):
        choices.find_weights("nowhere.h5")
    (project / "params.h5").write_text("no weights")
    with pytest.raises(GraftError, match="--weights params.h5: this is no HDF5 file"):
        choices.find_weights("params.h5")


def test_a_files_width_is_found_out():
    from pipeline.training.weights import STARTER

    assert choices.find_weights(str(STARTER)).alpha == 0.35


def test_given_splits_are_recognised(project, capsys):
    for split in ("train", "test"):
        write_classes(project / f"data/pets/{split}", {"cat": 12, "dog": 12}, seed=len(split))
    start.start("data/pets", "starter")
    assert "splits   given: train 24, val 0, test 24" in capsys.readouterr().out
    assert read_sections()["validate"]["split_folders"] is True
    shutil.rmtree(project / "data/pets/train")
    shutil.rmtree(project / "data/pets/test")
    write_classes(project / "data/others", {"cat": 12, "dog": 12})
    assert values("data/others")["validate.split_folders"] is False


def test_groups_of_a_table_are_said(project, capsys):
    write_classes(project / "data/pets", {"all": 24})
    rows = [f"all/{number}.jpg,{'cat' if number % 2 else 'dog'},{number // 4}" for number in range(24)]
    (project / "data/pets/labels.csv").write_text("\n".join(["path,label,group", *rows]))
    start.start("data/pets", "starter")
    assert "groups   6; images of one group stay in one split" in capsys.readouterr().out


def write_pictures(folder: Path, draw) -> None:
    for label in ("one", "two"):
        (folder / label).mkdir(parents=True)
        for seed in range(12):
            (folder / label / f"{seed}.jpg").write_bytes(jpeg(draw(seed + 50 * (label == "two"))))


def drawing(seed: int) -> Image.Image:
    image = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(image).ellipse((20 + seed, 30, 120, 150), fill="orange", outline="blue")
    return image


@pytest.mark.parametrize("draw, kind, mirrors", [
    (picture, "colour photographs", True), (drawing, "drawings or screenshots", False),
    (lambda seed: picture(seed).convert("L"), "grey pictures", False),
    (lambda seed: picture(seed).convert("L").convert("RGB"), "grey pictures", False)])
def test_the_kind_of_pictures_decides_on_mirror_images(project, draw, kind, mirrors):
    write_pictures(project / "data/pets", draw)
    assert start.look(Path("data/pets")).kind == kind
    assert values()["extract.augmentation.horizontal_flip"] == ("auto" if mirrors else False)


def test_of_a_large_picture_some_rows_are_looked_at(tmp_path):
    """A scan of 50 megapixels would take six seconds and twelve bytes a pixel more, 24 times."""
    Image.new("RGB", (2000, 5000), "orange").save(tmp_path / "scan.png")
    tracemalloc.start()
    assert _look(tmp_path / "scan.png") == ("drawings or screenshots", 2000, 5000)
    assert tracemalloc.get_traced_memory()[1] < MAX_BYTES + 30e6       # the buffer for the file, and what a copy takes
    tracemalloc.stop()


@pytest.mark.parametrize("names, mirrors", [
    (("t-shirt", "bright"), True), (("hand_left", "hand_right"), False), (("Left", "up"), False), (("b", "d"), False)])
def test_classes_that_a_mirror_changes_are_known_by_their_names(project, names, mirrors):
    write_classes(project / "data/pets", dict.fromkeys(names, 10))
    assert values()["extract.augmentation.horizontal_flip"] == ("auto" if mirrors else False)


@pytest.mark.parametrize("name, model", [
    ("My Pets", "my-pets"), ("Äpfel & Birnen", "pfel-birnen"), ("日本", "model"), ("a" * 99, "a" * 64), (".x_", "x")])
def test_every_folder_gives_a_valid_name(name, model):
    assert choices.model_name(Path(name)) == model


@pytest.mark.parametrize("folder, message", [
    ("data/pest", "data.images: the folder 'data/pest' does not exist. Did you mean 'pets'?"),
    ("/tmp", "/tmp is not inside the project"), ("data/sample", "For the demo, run `make demo`"),
    ("data/text", "none of the images in 'data/text' that were tried can be read"),
    (".", "is not inside the project")])
def test_a_folder_that_cannot_be_used_changes_nothing(project, folder, message):
    write_classes(project / "data/pets", {"cat": 2, "dog": 2})
    for label in ("a", "b"):
        (project / "data/text" / label).mkdir(parents=True)
        (project / "data/text" / label / "1.jpg").write_text("no image")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(GraftError) as caught:
        start.start(folder)
    assert message in str(caught.value)
    assert (project / "params.yaml").read_bytes() == before and not list(project.glob("data/*.dvc"))


def test_too_small_classes_are_a_warning(project, capsys):
    write_classes(project / "data/pets", {"cat": 12, "dog": 3})
    start.start("data/pets", "starter")
    assert "warning  too few images: dog 3. Training needs 10 of each class" in capsys.readouterr().out
