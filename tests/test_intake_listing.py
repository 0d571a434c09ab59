"""Which files are images of which class, and why the others are left out."""

import os
import unicodedata

import pytest

from graft.errors import GraftError, printable
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


def test_a_link_that_leads_out_of_the_folder_is_followed_and_told(tmp_path):
    touch(tmp_path, "images/cat/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "images/cat/2.jpg").symlink_to("../../elsewhere/2.jpg")
    (tmp_path / "images/cat/3.jpg").symlink_to("1.jpg")
    listing = list_files(tmp_path / "images")
    assert [file.path for file in listing.files] == ["cat/1.jpg", "cat/2.jpg", "cat/3.jpg"]
    [note] = listing.notes
    assert f"cat/2.jpg -> {tmp_path / 'elsewhere/2.jpg'}" in note and "3.jpg" not in note


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


def test_links_to_files_are_followed_as_dvc_does(tmp_path):
    touch(tmp_path, "elsewhere/1.jpg", "images/dog/3.jpg")
    (tmp_path / "images" / "dog" / "4.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "images")
    paths = [file.path for file in list_files(tmp_path / "link").files]
    assert paths == ["dog/3.jpg", "dog/4.jpg"]


def test_linked_folders_are_refused_because_dvc_sees_nothing_in_them(tmp_path):
    """At any depth, all at once, and before any file is opened: also beside a label table."""
    touch(tmp_path, "elsewhere/1.jpg", "images/dog/3.jpg", "images/bird/small/4.jpg")
    (tmp_path / "images" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "bird" / "small" / "deep").symlink_to("../../../elsewhere")
    (tmp_path / "images" / "labels.csv").write_text("no table")
    with pytest.raises(GraftError) as raised:
        list_files(tmp_path / "images")
    message = str(raised.value)
    assert message.startswith("images: in ") and "2 folders are links: " in message
    for part in ("bird/small/deep -> ../../../elsewhere", f"cat -> {tmp_path / 'elsewhere'}", "DVC", "cp -rL",
                 "dvc import-url", "data.images"):
        assert part in message


def test_dvc_hashes_linked_files_and_a_linked_image_folder_but_no_linked_folder_inside(tmp_path, monkeypatch):
    """What the two tests above rely on, asked of the installed DVC."""
    from dvc.repo import Repo

    touch(tmp_path, "elsewhere/1.jpg", "elsewhere/2.jpg", "images/dog/3.jpg")
    (tmp_path / "images" / "dog" / "4.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "images" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "images")
    stages = ", ".join(f"{name}: {{cmd: 'true', deps: [{name}]}}" for name in ("images", "link"))
    (tmp_path / "dvc.yaml").write_text(f"stages: {{{stages}}}")
    monkeypatch.chdir(tmp_path)
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        for stage in repo.reproduce():
            assert stage.deps[0].meta.nfiles == 2, stage


def test_a_folder_with_images_and_a_class_folder_is_a_class(tmp_path):
    touch(tmp_path, "cat/1.jpg", "cat/kitten/2.jpg", "dog/3.jpg", "dog/small/4.jpg", "Fruit/Apple/5.jpg",
          "Fruit/read.me")
    listing = list_files(tmp_path, check_folders=False)
    assert listing.class_names == {"cat", "cat/kitten", "dog", "dog/small", "Fruit/Apple"}


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
