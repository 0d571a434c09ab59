"""Images that are added to an image folder land in their class, by whatever names it, or nowhere."""

import hashlib
from pathlib import Path

import pytest
from full_disk import full_disk
from intake_images import jpeg, picture

from graft.errors import GraftError
from pipeline.intake.adding import Adding, class_fault
from pipeline.intake.listing import Listing, list_files

TABLES = {
    "plain": b"path,label\na.jpg,cat\nb.jpg,dog\n",
    "spreadsheet": b"\xef\xbb\xbflabel;group;path\r\ncat;1;a.jpg\r\ndog;2;b.jpg\r\n",
    "no end": b'path,label,_note\n"a.jpg",cat,"x, y"\nb.jpg,dog,',
    "utf-16": "path\tlabel\na.jpg\tcat\nb.jpg\tdög\n".encode("utf-16"),
}


@pytest.fixture
def added(tmp_path) -> Path:
    """A picture elsewhere, under the hash of its bytes."""
    data = jpeg(picture(1))
    path = tmp_path / f"elsewhere/{hashlib.sha256(data).hexdigest()}.jpg"
    path.parent.mkdir()
    path.write_bytes(data)
    return path


def write(folder: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(jpeg(picture(10 + number)))
    return folder


def place(adding: Adding, file: Path, label: str, before: str = "") -> None:
    with adding.placed({file: label}, {before} - {""}):
        pass


def labels(images: Path, **settings) -> dict[str, str]:
    return {file.path: file.label for file in list_files(images, **settings).files}


@pytest.mark.parametrize("paths, settings, label, where", [
    (["cat/a.jpg", "dog/b.jpg"], {}, "cat", "cat"),
    (["cat/a.jpg", "dog/b.jpg"], {}, "Größe 2", "Größe 2"),
    (["x/pets/cat/a.jpg", "x/pets/dog/b.jpg"], {}, "x/pets/dog", "x/pets/dog"),
    (["x/cat/a.jpg", "y/dog/b.jpg"], {"labels_from": "last"}, "cat", "x/cat"),
    (["x/cat/a.jpg", "y/dog/b.jpg"], {"labels_from": "last"}, "new", "new"),
    (["cat/x/a.jpg", "cat/x/b.jpg", "cat/y/a.jpg", "dog/x/b.jpg"], {"labels_from": "first"}, "cat", "cat/x"),
    (["train/cat/a.jpg", "train/dog/a.jpg", "test/cat/b.jpg", "test/dog/b.jpg"], {"split_folders": True}, "cat",
     "train/cat"),
    (["train/cat/a.jpg", "train/dog/a.jpg", "test/cat/b.jpg", "test/dog/b.jpg"], {"split_folders": True}, "new",
     "train/new"),
])
def test_the_listing_gives_an_added_image_its_class(tmp_path, added, paths, settings, label, where):
    images = write(tmp_path / "images", *paths)
    before = labels(images, **settings)
    place(Adding(images, list_files(images, **settings)), added, label)
    assert labels(images, **settings) == before | {f"{where}/{added.name}": label}
    assert (images / where / added.name).read_bytes() == added.read_bytes()


def test_another_label_moves_the_copy_and_none_removes_it_with_the_folder_that_it_made(tmp_path, added):
    images = write(tmp_path / "images", "cat/a.jpg", "dog/b.jpg")
    before, adding = labels(images), Adding(images, list_files(images))
    place(adding, added, "cat")
    place(adding, added, "new", before="cat")
    assert labels(images) == before | {f"new/{added.name}": "new"}
    place(Adding(images, list_files(images)), added, "", before="new")
    assert labels(images) == before and not (images / "new").exists() and added.exists()


def test_a_file_of_that_name_with_other_bytes_stays(tmp_path, added):
    images = write(tmp_path / "images", f"cat/{added.name}", "dog/b.jpg")
    place(Adding(images, list_files(images)), added, "dog")
    assert set(labels(images)) == {f"cat/{added.name}", f"dog/{added.name}", "dog/b.jpg"}


@pytest.mark.parametrize("form", TABLES)
def test_a_row_of_the_table_comes_and_goes_and_all_other_bytes_stay(tmp_path, added, form):
    images = write(tmp_path / "images", "a.jpg", "b.jpg")
    (images / "labels.csv").write_bytes(TABLES[form])
    before, adding = labels(images), Adding(images, list_files(images))
    place(adding, added, "Größe, 2")
    assert labels(images) == before | {f"collected/{added.name}": "Größe, 2"}
    assert (images / "labels.csv").read_bytes().startswith(TABLES[form])
    place(adding, added, "cat", before="Größe, 2")
    assert labels(images) == before | {f"collected/{added.name}": "cat"}
    place(adding, added, "", before="cat")
    assert labels(images) == before and not (images / "collected").exists()
    assert (images / "labels.csv").read_bytes().strip() == TABLES[form].strip()


@pytest.mark.parametrize("table", [b"", TABLES["plain"]])
def test_what_fails_leaves_everything_as_it_was(tmp_path, added, table):
    images = write(tmp_path / "images", *(["a.jpg", "b.jpg"] if table else ["cat/a.jpg", "dog/b.jpg"]))
    if table:
        (images / "labels.csv").write_bytes(table)
    before, adding = {path: path.read_bytes() for path in images.rglob("*.*")}, Adding(images, list_files(images))
    with pytest.raises(OSError, match="too large"), full_disk(500):
        place(adding, added, "cat")
    with pytest.raises(ValueError, match="later"), adding.placed({added: "cat"}, set()):
        raise ValueError("later")
    assert {path: path.read_bytes() for path in images.rglob("*.*")} == before


def test_nothing_is_copied_through_a_link_or_from_a_damaged_file_or_beside_a_parquet_table(tmp_path, added):
    images = write(tmp_path / "images", "cat/a.jpg", "dog/b.jpg")
    adding = Adding(images, list_files(images))
    (images / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GraftError, match="a link out of"):
        place(adding, added, "out")
    added.write_bytes(b"other bytes")
    with pytest.raises(GraftError, match="is damaged"):
        place(adding, added, "cat")
    (images / "labels.parquet").write_bytes(b"")
    with pytest.raises(GraftError, match="no row can be added to a Parquet file"):
        Adding(images, Listing())


@pytest.mark.parametrize("name, fault", [
    ("fish", ""), ("Größe 2", ""), ("t-shirt (blue) & co", ""), ("日本", ""), ("cat", ""),
    ("", "a class is a folder"), ("../x", "a class is a folder"), ("a/b", "a class is a folder"),
    (".hidden", "a class is a folder"), ("x.", "a class is a folder"), ("x ", "a class is a folder"),
    ("con", "a class is a folder"), ("a\nb", "a class is a folder"), ("=1+1", "a class is a folder"),
    ("x" * 101, "a class is a folder"), ("a\\b", "a class is a folder"), ("\u202ex", "a class is a folder"),
    ("train", "the name of a split"), ("CAT", "only in upper and lower case"),
])
def test_a_new_class_has_a_name_that_is_a_folder_everywhere(name, fault):
    assert class_fault(name, ["cat"]).startswith(fault) or fault in class_fault(name, ["cat"])
    assert bool(class_fault(name, ["cat"])) == bool(fault)
