"""Which files are images of which class, and why the others are left out."""

import os
import unicodedata

import pytest

from graft.errors import GraftError
from pipeline.intake.files import printable
from pipeline.intake.listing import list_files


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


@pytest.mark.parametrize(
    "labels_from, labels",
    [
        ("path", {"Fruit/Apple/Pink-Lady", "Fruit/Pear", "Nut"}),
        ("first", {"Fruit", "Nut"}),
        ("last", {"Pink-Lady", "Pear", "Nut"}),
    ],
)
def test_classes_of_any_depth(tmp_path, labels_from, labels):
    touch(tmp_path, "Fruit/Apple/Pink-Lady/1.JPG", "Fruit/Pear/2.jpg", "Nut/3.png")
    listing = list_files(tmp_path, labels_from)
    assert {file.label for file in listing.files} == listing.class_names == labels
    assert [file.path for file in listing.files] == ["Fruit/Apple/Pink-Lady/1.JPG", "Fruit/Pear/2.jpg", "Nut/3.png"]


def test_existing_splits_are_honoured_when_asked_for(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "Validation/cat/2.jpg", "test/dog/3.jpg")
    listing = list_files(tmp_path, split_folders=True)
    assert [(file.label, file.split) for file in listing.files] == [("cat", "val"), ("dog", "test"), ("cat", "train")]


def test_existing_splits_are_not_taken_for_classes(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "test/cat/2.jpg")
    with pytest.raises(GraftError, match="^split_folders: '.*' contains the folders test, train, .*Set it to true"):
        list_files(tmp_path)


def test_two_names_of_splits_are_splits_and_one_may_be_a_class(tmp_path):
    touch(tmp_path / "splits", "train/cat/1.jpg", "test/cat/2.jpg", "more/cat/3.jpg")
    with pytest.raises(GraftError, match="contains the folders test, train, which are names of splits"):
        list_files(tmp_path / "splits")
    touch(tmp_path / "vehicles", "train/1.jpg", "bus/2.jpg")
    assert list_files(tmp_path / "vehicles").class_names == {"train", "bus"}


def test_split_folders_asked_for_but_not_there(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "birds/2.jpg")
    with pytest.raises(GraftError, match="^split_folders: true, but .* contains birds"):
        list_files(tmp_path, split_folders=True)


def test_what_is_left_out_says_why(tmp_path):
    touch(
        tmp_path,
        "cat/1.jpg",
        "cat/.hidden.jpg",
        "cat/._1.jpg",
        "cat/Thumbs.db",
        "loose.jpg",
        ".cache/x/1.jpg",
        "__MACOSX/cat/1.jpg",
        "cat/new\nline.jpg",
    )
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path)
    with open(os.fsencode(tmp_path / "cat") + b"/\xff\xfe.jpg", "wb"):
        pass
    listing = list_files(tmp_path)
    assert [file.path for file in listing.files] == ["cat/1.jpg"]
    assert listing.class_names == {"cat"}
    expected = {
        "cat/.hidden.jpg": "hidden",
        "cat/._1.jpg": "hidden",
        "cat/Thumbs.db": "operating system",
        ".cache": "hidden, with 1 files inside",
        "loose.jpg": "not in a class folder",
        "__MACOSX": "operating system",
        "cat/new\\x0aline.jpg": "control characters",
        "cat/pipe.jpg": "not a regular file",
        "cat/gone.jpg": "does not exist",
        "cat/loop": "folder above",
    }
    for path, reason in expected.items():
        assert reason in listing.stray[path], path
    assert len(listing.stray) == len(expected) + 1
    for path in listing.stray:
        path.encode()  # can be written to a report


def test_links_to_files_and_folders_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/1.jpg", "elsewhere/2.jpg", "images/dog/3.jpg")
    (tmp_path / "images" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "dog" / "4.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    paths = [file.path for file in list_files(tmp_path / "images").files]
    assert paths == ["cat/1.jpg", "cat/2.jpg", "dog/3.jpg", "dog/4.jpg"]


def test_empty_class_folders_are_known(tmp_path):
    touch(tmp_path, "cat/1.jpg")
    (tmp_path / "Fruit" / "Apple").mkdir(parents=True)
    assert list_files(tmp_path).class_names == {"cat", "Fruit/Apple"}


def test_one_class_spelled_in_two_unicode_forms_is_one(tmp_path):
    touch(tmp_path, unicodedata.normalize("NFC", "café/1.jpg"), unicodedata.normalize("NFD", "café/2.jpg"))
    assert {file.label for file in list_files(tmp_path).files} == {unicodedata.normalize("NFC", "café")}


def test_a_misspelt_folder_is_named_with_its_neighbour(tmp_path):
    touch(tmp_path, "data/cats_dogs/cat/1.jpg")
    with pytest.raises(GraftError, match="^images: the folder .* does not exist. Did you mean 'cats_dogs'"):
        list_files(tmp_path / "data" / "cats_dog")


def test_printable_leaves_good_names_as_they_are():
    assert printable("über 图 (1).jpg") == "über 图 (1).jpg"
    assert printable("a\tb\x7f") == "a\\x09b\\x7f"
