"""labels.csv and labels.parquet: what is read of them, and every mistake with its line."""

import os
import unicodedata

import pandas as pd
import pytest

from graft.errors import GraftError
from pipeline.intake import path_mismatch
from pipeline.intake.listing import list_files
from pipeline.intake.scan import scan
from pipeline.intake.scan_cache import ScanCache


def folder(tmp_path, table, files=("a.jpg", "b.jpg"), encoding="utf-8"):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "labels.csv").write_bytes(table.encode(encoding))
    return tmp_path


def test_labels_groups_and_splits(tmp_path):
    table = "split,label,path,group,_comment\ntrain,cat,x/a.jpg,patient 1,good\nvalidation,NA,./b.jpg,,\n"
    listing = list_files(folder(tmp_path, table, ["x/a.jpg", "b.jpg", "c.jpg"]))
    assert [(file.path, file.label, file.group, file.split) for file in listing.files] == [
        ("b.jpg", "NA", "", "val"),
        ("x/a.jpg", "cat", "patient 1", "train"),
    ]
    assert listing.stray == {"c.jpg": "not in labels.csv"}


def test_a_parquet_table_is_the_same(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    pd.DataFrame({"path": ["a.jpg", "b.jpg"], "label": [3, 4], "group": ["p", None]}).to_parquet(
        tmp_path / "labels.parquet"
    )
    listing = list_files(tmp_path)
    assert [(file.path, file.label, file.group) for file in listing.files] == [("a.jpg", "3", "p"), ("b.jpg", "4", "")]


def test_a_table_made_by_a_spreadsheet_on_windows(tmp_path):
    listing = list_files(folder(tmp_path, "path, label\r\nx\\ä.jpg, 007\r\n", ["x/ä.jpg"], "utf-8-sig"))
    assert [(file.path, file.label) for file in listing.files] == [("x/ä.jpg", "007")]


def test_paths_are_found_in_either_unicode_form(tmp_path):
    disk, table = unicodedata.normalize("NFD", "é.jpg"), unicodedata.normalize("NFC", "é.jpg")
    listing = list_files(folder(tmp_path, f"path,label\n{table},cat\n", [disk]))
    assert [file.path for file in listing.files] == [disk] and not listing.stray


def test_a_group_in_either_unicode_form_is_one(tmp_path):
    rows = [f"{name}.jpg,cat,{unicodedata.normalize(form, 'Müller')}" for name, form in (("a", "NFC"), ("b", "NFD"))]
    listing = list_files(folder(tmp_path, "\n".join(["path,label,group", *rows])))
    assert {file.group for file in listing.files} == {unicodedata.normalize("NFC", "Müller")}


def test_every_mistake_is_named_with_its_line(tmp_path):
    table = "path,label,split\na.jpg,cat,\nb.jpg,,\n../c.jpg,cat,\n/d.jpg,cat,\na.jpg,dog,\nb.jpg,dog,tests\n,cat,\n"
    with pytest.raises(GraftError) as raised:
        list_files(folder(tmp_path, table))
    message = str(raised.value)
    for part in (
        "line 3: the label of 'b.jpg' is empty",
        "line 4: path '../c.jpg' leads out",
        "line 5: path '/d.jpg' leads out",
        "line 6: 'a.jpg' is also on line 2",
        "line 7: the split is 'tests'",
        "line 8: the path is empty",
        "labels.csv",
    ):
        assert part in message


def test_one_file_spelled_in_several_ways_is_one(tmp_path):
    disk, table = unicodedata.normalize("NFD", "é.jpg"), unicodedata.normalize("NFC", "é.jpg")
    rows = f"path,label\nx/a.jpg,cat\n./x//a.jpg,dog\n{disk},cat\n{table},dog\n"
    with pytest.raises(GraftError) as raised:
        list_files(folder(tmp_path, rows, ["x/a.jpg", disk]))
    assert "line 3: 'x/a.jpg' is also on line 2" in str(raised.value)
    assert f"line 5: '{disk}' is also on line 4" in str(raised.value)


def test_a_comma_too_many(tmp_path):
    """At the end of every line it shifts no column; before a third value it is a mistake."""
    listing = list_files(folder(tmp_path, "path,label\na.jpg,cat,\nb.jpg,dog,\n"))
    assert [(file.path, file.label) for file in listing.files] == [("a.jpg", "cat"), ("b.jpg", "dog")]
    with pytest.raises(GraftError, match="line 3: 3 values for 2 columns"):
        list_files(folder(tmp_path, "path,label\na.jpg,cat\nb.jpg,dog,big\n"))


@pytest.mark.parametrize("row", ["a.jpg,ca\x07t", "a\0.jpg,cat", '"a.jpg","two\nlines"'])
def test_control_characters_are_refused(tmp_path, row):
    with pytest.raises(GraftError, match="contains control characters"):
        list_files(folder(tmp_path, f"path,label\n{row}\n"))


def test_what_the_table_names_is_left_out_no_more(tmp_path):
    listing = list_files(folder(tmp_path, "path,label\n.a.jpg,cat\nb.jpg,dog\n", [".a.jpg", "b.jpg", ".c.jpg"]))
    assert [file.path for file in listing.files] == [".a.jpg", "b.jpg"]
    assert listing.stray == {".c.jpg": "hidden"}


def test_a_pipe_in_the_table_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    listing = list_files(folder(tmp_path, "path,label\npipe.jpg,cat\na.jpg,dog\n"))
    found = scan(tmp_path, listing, ScanCache(tmp_path / "cache", tmp_path))
    assert "not a regular file" in {file.path: reason for file, reason in found.unreadable.items()}["pipe.jpg"]


def test_numbers_of_a_parquet_table_stay_whole_beside_gaps(tmp_path):
    table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "label": ["x", "y"], "group": [7, None]})
    for name in table["path"]:
        (tmp_path / name).write_bytes(b"x")
    table.to_parquet(tmp_path / "labels.parquet")
    assert [file.group for file in list_files(tmp_path).files] == ["7", ""]
    table.assign(label=[["x"], ["y", "z"]]).to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(GraftError, match="column label contains lists"):
        list_files(tmp_path)


def test_a_row_said_twice_is_no_mistake(tmp_path):
    assert len(list_files(folder(tmp_path, "path,label\na.jpg,cat\na.jpg,cat\n")).files) == 1


@pytest.mark.parametrize(
    "table, part",
    [
        ("where,label\na.jpg,cat\n", "column path is missing.*found 'where', 'label'"),
        ("path label\na.jpg cat\n", "column path and label is missing"),
        ("a.jpg,cat\nb.jpg,dog\n", "found 'a.jpg', 'cat'. The first line must name the columns"),
        ("path,lable\na.jpg,cat\n", "column label is missing.*Did you mean 'lable'"),
        ("", "column path and label is missing.*found nothing"),
        ('path,label\n"a.jpg,cat\n', "cannot be read: unexpected end of data"),
        ('path,label,_note\na.jpg,cat,\nb.jpg,cat,"5" wide\n', "line 3: a quotation mark there or above"),
        ("path,label,label\na.jpg,cat,dog\n", "column label occurs more than once"),
        ("path,label\n", "the table has no rows"),
    ],
)
def test_a_table_that_is_none(tmp_path, table, part):
    with pytest.raises(GraftError, match=part):
        list_files(folder(tmp_path, table))


def test_a_table_in_another_encoding(tmp_path):
    with pytest.raises(GraftError, match="labels.csv cannot be read: it is not in UTF-8 .byte 0xe4 at 11.. Save it as"):
        list_files(folder(tmp_path, "path,label\nä.jpg,cat\n", encoding="latin-1"))
    with pytest.raises(GraftError, match="its first line contains null characters, as another encoding"):
        list_files(folder(tmp_path, "path,label\na.jpg,cat\n", encoding="utf-16-le"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_spreadsheets_and_databases_export(tmp_path, separator, encoding):
    rows = [("path", "label"), ("a.jpg", '"cat, big; old"'), ("b.jpg", "dög")]
    table = "".join(separator.join(row) + "\r\n" for row in rows)
    listing = list_files(folder(tmp_path, table, encoding=encoding))
    assert [(file.path, file.label) for file in listing.files] == [("a.jpg", "cat, big; old"), ("b.jpg", "dög")]


NAMES = [f"{number:02}.jpg" for number in range(12)]


def refusal(tmp_path, paths, files=NAMES, header="path,label") -> str:
    """What is said of a table with these paths beside these files."""
    folder(tmp_path, "".join(f"{row}\n" for row in [header, *[f"{path},cat" for path in paths]]), files)
    with pytest.raises(GraftError) as raised:
        list_files(tmp_path)
    return str(raised.value)


@pytest.mark.parametrize("path, file, cause", [
    ("{}", "{}.jpg", "lack '.jpg': line 2 is '00', the file is '00.jpg'"),
    ("{}.v1", "{}.v1.png", "lack '.png': line 2 is '00.v1', the file is '00.v1.png'"),
    ("{}.jpg", "{}.png", "end with '.jpg' instead of '.png'"),
    ("{}.jpg", "{}", "end with a superfluous '.jpg'"),
    ("{}.jpg", "images/{}.jpg", "lack 'images/': line 2 is '00.jpg', the file is 'images/00.jpg'"),
    ("images/{}.jpg", "{}.jpg", "begin with a superfluous 'images/'"),
    ("old/{}.jpg", "new/{}.jpg", "begin with 'old/' instead of 'new/'"),
    ("{}", "a/b/{}.jpg", "lack 'a/b/' and lack '.jpg'"),
    ("/home/me/pets/{}.jpg", "{}.jpg", "begin with a superfluous '/home/me/pets/'"),
    ("/home/me/pets/x/{}.jpg", "x/{}.jpg", "begin with a superfluous '/home/me/pets/'"),
    ("C:\\me\\{}.jpg", "{}.jpg", "begin with a superfluous 'C:/me/'"),
    ("../pets/{}.jpg", "{}.jpg", "begin with a superfluous '../pets/'"),
    ("~/pets/{}.jpg", "{}.jpg", "begin with a superfluous '~/pets/'"),
    ("a{}.jpg", "A{}.JPG", "differ in upper and lower case: line 2 is 'a00.jpg', the file is 'A00.JPG'"),
    ("é{}", unicodedata.normalize("NFD", "é{}.jpg"), "lack '.jpg'"),
])
def test_the_cause_is_named_if_paths_name_no_file(tmp_path, path, file, cause):
    numbers = [f"{number:02}" for number in range(12)]
    text = refusal(tmp_path, map(path.format, numbers), list(map(file.format, numbers)))
    assert f"all 12 paths {cause}" in text and f"relative to {tmp_path}" in text
    assert text.count("\n") == 2


def test_a_path_that_may_mean_several_files_is_not_guessed(tmp_path):
    text = refusal(tmp_path, ["1", "2"], ["a/1.jpg", "b/1.jpg", "2.jpg", "2.png"])
    assert "all 2 paths fit several files equally well: line 2 is '1', the file is 'a/1.jpg' or 'b/1.jpg'" in text


def test_names_that_many_folders_have_are_told_apart_by_their_folders():
    """As in the frames of videos; each path was compared with all files of its name, which took minutes."""
    files = [f"img/{video}/{camera}/{frame}.jpg" for video in range(30) for camera in "ab" for frame in range(5)]
    missing = [(f"line {line}", file.removeprefix("img/")) for line, file in enumerate(files, 2)]
    before = path_mismatch._rank
    compared = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_mismatch, "_rank", lambda *pair: compared.append(pair) or before(*pair))
        lines, unexplained = path_mismatch.explain(missing, files, len(files))
    assert lines == ["all 300 paths lack 'img/': line 2 is '0/a/0.jpg', the file is 'img/0/a/0.jpg'"]
    assert not unexplained and len(compared) < 25 * len(files)


def test_each_cause_has_its_line_the_most_frequent_first(tmp_path):
    text = refusal(tmp_path, [*NAMES[:2], *NAMES[2:5], NAMES[5][:2]],
                   [*[f"a/{name}" for name in NAMES[:2]], *[f"b/{name}" for name in NAMES[2:5]], NAMES[5]])
    assert text.splitlines()[1:4] == ["  3 paths lack 'b/': line 4 is '02.jpg', the file is 'b/02.jpg'",
                                      "  2 paths lack 'a/': line 2 is '00.jpg', the file is 'a/00.jpg'",
                                      "  1 path lacks '.jpg': line 7 is '05', the file is '05.jpg'"]


def test_paths_without_any_likeness_are_shown_beside_a_file(tmp_path):
    text = refusal(tmp_path, ["x1.jpg", "x2.jpg"], ["1.jpg"])
    assert "all 2 paths have no file: line 2 is 'x1.jpg', and the files without a row are 1.jpg" in text
    assert "2 of 3 paths have no file: line 2 is 'x1.jpg'" in refusal(tmp_path, ["x1.jpg", "x2.jpg", "1"], ["1.jpg"])


def test_a_few_images_that_are_gone_do_not_stop_the_listing(tmp_path):
    listing = list_files(folder(tmp_path, "path,label\na.jpg,cat\ngone.jpg,cat\n", ["a.jpg", "other.jpg"]))
    assert [file.path for file in listing.files] == ["a.jpg", "gone.jpg"]


def test_columns_with_other_names_and_wrong_paths_are_told_at_once(tmp_path):
    text = refusal(tmp_path, [name[:2] for name in NAMES], header="Image ID,Breed")
    for part in ("Rename 'image id' to 'path'", "Rename 'breed' to 'label'", "all 12 paths lack '.jpg'"):
        assert part in text


def test_unknown_columns_are_refused_unless_their_names_say_that_they_are_not_read(tmp_path):
    """A column `person` that is meant as the group would leak one person across splits."""
    assert list_files(folder(tmp_path / "a", ",path,label,_age\n0,a.jpg,cat,50\n")).files
    text = refusal(tmp_path / "b", ["a.jpg"], ["a.jpg"], header="path,label,patient,set,age,owner")
    for part in ("column 'patient' is unknown. Rename it to 'group', if that is what it contains, or to '_patient'",
                 "column 'set' is unknown. Rename it to 'split'",
                 "2 columns are unknown: age, owner. Expected path, label and optionally group and split.",
                 "To leave a column unread, let its name begin with _"):
        assert part in text


def test_many_mistakes_of_a_kind_are_one_line(tmp_path):
    text = refusal(tmp_path, [f"{name},,\n{name}" for name in NAMES])
    assert "label of '00.jpg' is empty (12 empty labels: line 2, line 4, line 6, line 8, line 10 and 7 more)" in text
    assert len(text.splitlines()) == 3


def test_two_tables_are_one_too_many(tmp_path):
    folder(tmp_path, "path,label\na.jpg,cat\n")
    (tmp_path / "labels.parquet").write_bytes(b"")
    with pytest.raises(GraftError, match="found labels.csv and labels.parquet"):
        list_files(tmp_path)
