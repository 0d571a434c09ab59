"""Which folders are taken for splits, for variants of classes, and for classes: layouts as archives have them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import PROPERTY

from graft.errors import GraftError
from pipeline.intake.files import split_of
from pipeline.intake.listing import list_files
from pipeline.intake.variants import find_variants


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


def put(folder, *class_folders) -> Path:
    """An image in each of these folders."""
    touch(folder, *[f"{path}/{number}.jpg" for number, path in enumerate(class_folders)])
    return folder


def message(folder, **options) -> str:
    with pytest.raises(GraftError) as raised:
        list_files(folder, **options)
    return str(raised.value)


def found(folder, **options) -> set[tuple[str, str]]:
    """The (split, label) of all files."""
    return {(file.split, file.label) for file in list_files(folder, **options).files}


@pytest.mark.parametrize("name, split", [
    *[(name, "train") for name in ("train", "TRAIN", "Training", "training_set", "train_images", "TrainSet", "1-train",
                                   "train2017", "seg_train", "images train", "my_train_data", "trainval")],
    *[(name, "val") for name in ("val", "valid", "Validation", "dev", "eval", "val_set", "evaluation-images")],
    *[(name, "test") for name in ("test", "Testing", "test_set", "hold-out", "Held_Out", "holdout", "test1")],
    *[(name, "") for name in ("", "cat", "trains", "trainer", "data", "images", "set", "testament", "valley", "devil",
                              "medieval", "contest", "retrieval", "1", "Eva")],
])
def test_names_of_splits(name, split):
    assert split_of(name) == split


def test_a_name_of_any_length_is_read_at_once():
    assert split_of("dataset" * 5000 + "x") == ""


@pytest.mark.parametrize("folders", [
    ("train/cat", "test/cat"),
    ("Training/glioma", "Training/none", "Testing/glioma", "Testing/none"),
    ("train_set/cat", "train_set/dog", "hold_out/cat", "hold_out/dog"),
    ("TRAIN/Fruit/Apple", "TRAIN/Fruit/Pear", "valid/Fruit/Apple"),
    ("train/cat", "train/dog"),
    ("chest/train/a", "chest/train/b", "chest/test/a", "chest/val/b"),
    ("a/b/train/x", "a/b/dev/x"),
    ("cat/train", "cat/test", "dog/train", "dog/test"),
    ("lab1/train/cat", "lab1/test/dog", "lab2/train/cat", "lab2/test/dog"),
])
def test_splits_are_not_taken_for_classes_and_the_setting_named_reads_them(tmp_path, folders):
    for labels_from in ("path", "first", "last"):
        text = message(put(tmp_path, *folders), labels_from=labels_from)
        assert text.startswith("split_folders: ") and "Set it to true." in text and "check_folders: false" in text
    assert {split for split, _ in found(tmp_path, split_folders=True, check_folders=False)} == {
        split_of(name) for folder in folders for name in folder.split("/")} - {""}
    labels = {label for _, label in found(tmp_path, check_folders=False)}
    assert labels == set(folders)       # the way on, if they are classes indeed


@pytest.mark.parametrize("folders, expected", [
    (("train/cat", "Validation/cat", "test/dog"), {("train", "cat"), ("val", "cat"), ("test", "dog")}),
    (("chest/train/ill", "chest/test/well"), {("train", "ill"), ("test", "well")}),
    (("a/b/train/Fruit/Apple", "a/b/test/Nut"), {("train", "Fruit/Apple"), ("test", "Nut")}),
    (("cat/train", "dog/test"), {("train", "cat"), ("test", "dog")}),
    (("cat/train", "cat/test"), {("train", "cat"), ("test", "cat")}),
    (("a/train/x", "b/test/y"), {("train", "a/x"), ("test", "b/y")}),
])
def test_given_splits_are_read_from_the_level_where_they_are(tmp_path, folders, expected):
    assert found(put(tmp_path, *folders), split_folders=True) == expected


def test_files_beside_the_class_folders_of_a_split_are_left_out(tmp_path):
    touch(tmp_path, "chest/readme.txt", "chest/train/loose.jpg", "chest/train/ill/1.jpg", "chest/test/ill/2.jpg")
    listing = list_files(tmp_path, split_folders=True)
    assert [file.path for file in listing.files] == ["chest/test/ill/2.jpg", "chest/train/ill/1.jpg"]
    assert set(listing.stray) == {"chest/readme.txt", "chest/train/loose.jpg"} and listing.class_names == {"ill"}


def test_other_folders_beside_splits_are_named(tmp_path):
    text = message(put(tmp_path, "train/cat", "test/cat", "more/cat"))
    assert "contains the folders test, train, which are names of splits" in text
    assert "move the other folders out: more" in text
    assert "contains more. Expected only the folders train, val and test" in message(tmp_path, split_folders=True)


def test_the_lower_folder_is_named_if_splits_are_in_one_part_only(tmp_path):
    text = message(put(tmp_path, "chest/train/a", "chest/test/a", "notes"))
    assert f"'{tmp_path}/chest' contains the folders test, train" in text
    assert f"images: set it to '{tmp_path}/chest'" in text
    assert found(tmp_path / "chest", split_folders=True) == {("train", "a"), ("test", "a")}


@pytest.mark.parametrize("folders", [("train", "test"), ("train",), ("Training_Images", "val", "test")])
def test_splits_without_class_folders_need_classes_or_a_table(tmp_path, folders):
    for split_folders in (False, True):
        text = message(put(tmp_path, *folders), split_folders=split_folders)
        assert "without class folders inside" in text and "labels.csv with the columns path, label" in text
    assert {label for _, label in found(tmp_path, check_folders=False)} == set(folders)


def test_a_split_that_contains_its_own_name_once_more_is_no_class(tmp_path):
    """As in an archive of the folder seg_train that was unpacked into a folder seg_train."""
    folders = ("seg_train/seg_train/sea", "seg_train/seg_train/ice", "seg_test/seg_test/sea", "val/ice")
    images = put(tmp_path / "views", *folders)
    assert found(images, split_folders=True) == {("train", "sea"), ("train", "ice"), ("test", "sea"), ("val", "ice")}
    vehicles = put(tmp_path / "vehicles", "train/train", "train/bus", "test/train", "test/bus")
    assert found(vehicles, split_folders=True) == {(split, label) for split in ("train", "test") for label in
                                                   ("train", "bus")}


def test_unlabelled_test_images_are_left_out(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "test/test/3.jpg", "test/4.jpg")
    assert "Set it to true." in message(tmp_path)
    listing = list_files(tmp_path, split_folders=True)
    assert {(file.split, file.label) for file in listing.files} == {("train", "cat"), ("train", "dog")}
    assert set(listing.stray) == {"test/test/3.jpg", "test/4.jpg"}


def test_a_table_of_another_name_is_named_with_all_that_has_to_change(tmp_path):
    """Kaggle's layout: one refusal leads to a table that is read."""
    touch(tmp_path, *[f"train/{number}.jpg" for number in range(3)], "test/7.jpg")
    (tmp_path / "train.csv").write_text("id,breed\n0,cat\n1,dog\n2,cat\n")
    (tmp_path / "sample_submission.csv").write_text("id,breed\n7,cat\n")
    text = message(tmp_path)
    for part in ("names of splits, without class folders", "label the images by train.csv, rename it to labels.csv",
                 "Rename 'id' to 'path'", "Rename 'breed' to 'label'", "all 3 paths lack 'train/' and lack '.jpg'"):
        assert part in text
    assert "submission" not in text
    (tmp_path / "train.csv").rename(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("path,label\ntrain/0.jpg,cat\ntrain/1.jpg,dog\ntrain/2.jpg,cat\n")
    assert found(tmp_path) == {("", "cat"), ("", "dog")}


@pytest.mark.parametrize("table, advice", [
    ("metadata.csv", "metadata.csv, rename it to labels.csv. In the table:"),
    ("labels.tsv", "labels.tsv, rename it to labels.csv. In the table:"),
    ("labels.xlsx", "labels.xlsx, save it as CSV with the columns path and label, in labels.csv"),
    ("label.txt", "label.txt, save it as CSV with the columns path and label, in labels.csv"),
    ("images/labels.csv", "images/labels.csv, set images to '{}/images'"),
    ("images/train.csv", "images/train.csv, rename it to labels.csv and set images to '{}/images'"),
])
def test_a_table_beside_a_single_folder_probably_has_the_labels(tmp_path, table, advice):
    touch(tmp_path, "images/1.jpg", "images/2.jpg")
    (tmp_path / table).write_text("path,label\n1.jpg,cat\n2.jpg,dog\n")
    text = message(tmp_path)
    assert "contains only one class folder, images" in text
    assert "to label the images by " + advice.format(tmp_path) in text


def test_a_table_above_the_images_is_named(tmp_path):
    touch(tmp_path, "images/1.jpg", "images/2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\nimages/1.jpg,cat\nimages/2.jpg,dog\n")
    text = message(tmp_path / "images")
    assert "contains no class folder, but 2 files outside folders" in text and f"set images to '{tmp_path}'" in text
    assert found(tmp_path) == {("", "cat"), ("", "dog")}


@pytest.mark.parametrize("classes", [("cat", "dog"), ("train", "bus"), ("test", "bus", "car")])
def test_a_table_beside_class_folders_is_a_note(tmp_path, classes):
    touch(put(tmp_path, *classes), "metadata.csv", "readme.txt")
    [note] = list_files(tmp_path).notes
    assert note.startswith("not read: metadata.csv. The folders name the classes") and "call it labels.csv" in note


def test_an_archive_is_to_be_unpacked(tmp_path):
    touch(tmp_path, "photos.ZIP")
    assert "unpack photos.ZIP first" in message(tmp_path)


def test_one_name_of_a_split_may_be_a_class(tmp_path):
    assert found(put(tmp_path / "a", "train", "bus")) == {("", "train"), ("", "bus")}
    assert found(put(tmp_path / "b", "rail/train", "rail/tram", "road/bus")) == {
        ("", "rail/train"), ("", "rail/tram"), ("", "road/bus")}


def test_a_split_beside_unlabelled_images_is_no_class(tmp_path):
    images = put(tmp_path, "train/cat", "train/dog", "unlabelled")
    assert "contains the folder train, which is the name of a split" in message(images)


@pytest.mark.parametrize("folders, last, first", [
    (("original/cat", "original/dog", "rotated/cat", "rotated/dog"), "cat, dog", "original, rotated"),
    (("lab 1/cat", "lab 1/dog", "lab 2/Cat", "lab 2/Dog"), "Cat, Dog, cat, dog", "lab 1, lab 2"),
    (("cat", "dog", "augmented/cat", "augmented/dog"), "cat, dog", "augmented, cat, dog"),
    (("a/x/cat", "a/x/dog", "b/y/cat", "b/y/dog"), "cat, dog", "a, b"),
    (("Cat/young", "Cat/old", "Dog/young", "Dog/old"), "old, young", "Cat, Dog"),
    (("p1/a/1", "p1/b/2", "p1/c/3", "p2/a/4", "p2/b/5", "p2/c/6"), "1, 2, 3, 4, 5 and 1 more", "p1, p2"),
])
def test_variants_are_not_taken_for_classes_and_each_way_on_is_named(tmp_path, folders, last, first):
    text = message(put(tmp_path, *folders))
    assert text.startswith("labels_from: path, but several folders")
    assert f"labels_from: last (the classes are {last})" in text
    assert f"labels_from: first (the classes are {first})" in text
    assert f"{len(folders)} different classes, such as " in text and "check_folders: false" in text
    for options in ({"labels_from": "last"}, {"labels_from": "first"}, {"check_folders": False}):
        assert found(tmp_path, **options)


def test_variants_inside_splits_are_found_too(tmp_path):
    folders = [f"{split}/{kind}/{label}" for split in ("train", "test") for kind in "ab" for label in ("cat", "dog")]
    put(tmp_path, *folders)
    assert "labels_from: last (the classes are cat, dog)" in message(tmp_path, split_folders=True)
    assert found(tmp_path, split_folders=True, labels_from="last") == {
        (split, label) for split in ("train", "test") for label in ("cat", "dog")}


PLANTS = {      # PlantVillage: some diseases occur on several plants, and every plant may be healthy
    "Apple": "scab black_rot rust healthy", "Blueberry": "healthy", "Cherry": "powdery_mildew healthy",
    "Corn": "leaf_spot rust northern_blight healthy", "Grape": "black_rot esca leaf_blight healthy",
    "Orange": "greening", "Peach": "bacterial_spot healthy", "Pepper": "bacterial_spot healthy",
    "Potato": "early_blight late_blight healthy", "Raspberry": "healthy", "Soybean": "healthy",
    "Squash": "powdery_mildew", "Strawberry": "leaf_scorch healthy",
    "Tomato": "bacterial_spot early_blight late_blight mold septoria mites target_spot curl mosaic healthy",
}


@pytest.mark.parametrize("folders", [
    ("Fruit/Apple", "Fruit/Pear", "Vegetable/Carrot", "Vegetable/Kale"),
    ("Fruit/Apple", "Fruit/Pear", "Fruit/other", "Vegetable/Carrot", "Vegetable/Kale", "Vegetable/other"),
    ("cat/images", "dog/images", "bird/images"),
    ("cat", "dog/young", "dog/old"),
    tuple(f"{plant}/{state}" for plant, states in PLANTS.items() for state in states.split()),
])
def test_real_hierarchies_pass(tmp_path, folders):
    assert {label for _, label in found(put(tmp_path, *folders))} == set(folders)


names = st.text("abcdefgh", min_size=1, max_size=3)


@given(st.sets(names, min_size=2, max_size=6), st.sets(names, min_size=2, max_size=4), st.booleans())
@PROPERTY
def test_the_same_classes_under_any_parents_are_found(classes, parents, is_nested):
    folders = {(*(("root",) if is_nested else ()), parent, label) for parent in parents for label in classes}
    assert len(find_variants(folders)) >= 2


@given(st.dictionaries(names, st.sets(names, min_size=1), min_size=1))
@PROPERTY
def test_classes_with_names_of_their_own_are_never_refused(tree):
    assert find_variants({(parent, parent + "-" + label) for parent, labels in tree.items() for label in labels}) == []


@given(st.sets(names, min_size=8), st.data())
@PROPERTY
def test_a_split_that_lacks_some_classes_is_found(classes, data):
    some = data.draw(st.sets(st.sampled_from(sorted(classes)), min_size=2))
    assert find_variants({("one", label) for label in classes} | {("two", label) for label in some})
