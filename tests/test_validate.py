"""The stage `validate` on folders with known faults: its messages and its outputs, which a rerun does not change."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from intake_images import jpeg, picture, write_classes
from look_alikes import photograph

from graft.errors import GraftError
from tasks import artifacts, split, validate

PARAMS = {
    "labels_from": "path",
    "split_folders": False,
    "check_folders": True,
    "max_unreadable_share": 0.05,
    "min_images_per_class": 5,
    "max_imbalance": 4.0,
    "max_label_conflicts": 0,
    "near_copies": "ask",
    "max_copies_share": 0.05,
    "min_side_px": 32,
    "max_aspect_ratio": 4.0,
    "min_contrast": 3.0,
    "max_form_skill": 0.5,
}


SPLIT = {"val_share": 0.15, "test_share": 0.15, "salt": "graft", "max_leaks": 0}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "images", {"cat": 12, "dog": 10})
    set_params()
    return tmp_path


def set_params(**changes):
    with open("params.yaml", "w") as file:
        json.dump({"data": {"images": "images"}, "validate": PARAMS | changes, "split": SPLIT}, file)  # JSON is YAML


def outputs():
    return {path: path.read_bytes() for path in artifacts.IMAGES.parent.iterdir()}


def message() -> str:
    with pytest.raises(GraftError) as raised:
        validate.main()
    return str(raised.value)


def test_good_images_pass_and_a_rerun_writes_the_same_bytes(project, capsys):
    validate.main()
    assert "22 images in 2 classes: cat 12, dog 10" in capsys.readouterr().out
    table = artifacts.read_table(artifacts.IMAGES, artifacts.IMAGE_COLUMNS)
    assert list(table["path"]) == sorted(table["path"])
    assert set(table["label"]) == {"cat", "dog"}
    assert set(table["width_px"]) == {160} and set(table["mode"]) == {"RGB"} and set(table["format"]) == {"JPEG"}
    first = outputs()
    validate.main()  # from the cache of the scan
    assert outputs() == first
    shutil.rmtree(artifacts.CACHE)
    validate.main()  # read again
    assert outputs() == first


def test_nothing_in_the_outputs_names_this_machine(project):
    validate.main()
    for path, content in outputs().items():
        assert str(project).encode() not in content, path


def test_every_failure_is_named_at_once_with_its_key_and_value(project):
    (project / "images" / "cat" / "copy.jpg").write_bytes((project / "images" / "dog" / "3.jpg").read_bytes())
    (project / "images" / "dog" / "cut.jpg").write_bytes(jpeg(picture(99))[:1500])
    (project / "images" / "dog" / "empty.jpg").write_bytes(b"")
    (project / "images" / "nothing here").mkdir()
    write_classes(project / "images", {"rare": 2}, seed=500)
    text = message()
    assert "cat/copy.jpg (cat) = dog/3.jpg (dog)" in text
    assert "dog/cut.jpg: truncated" in text and "dog/empty.jpg: empty file" in text
    assert "rare: 2 images" in text and "nothing here: 0 images" in text
    for key in (
        "max_label_conflicts: 0",
        "max_unreadable_share: 0.05",
        "min_images_per_class: 5",
        "max_imbalance: 4.0",
    ):
        assert f"params.yaml: validate.{key}" in text
    assert str(artifacts.DATA_REPORT) in text and artifacts.DATA_REPORT.exists()
    findings = artifacts.read_json(artifacts.DATA_FINDINGS)
    assert findings["unreadable"].keys() == {"dog/cut.jpg", "dog/empty.jpg"}
    offending = {each["name"]: each["offending"] for each in findings["expectations"]}
    assert offending["readable"] == ["dog/cut.jpg", "dog/empty.jpg"]
    assert offending["label conflicts"] == ["cat/copy.jpg", "dog/3.jpg"]
    assert offending["images per class"] == ["nothing here", "rare"]


def test_the_worst_ten_are_named_and_the_others_counted(project):
    """Twelve classes that are too small, the smallest first, and one line for all files with the same fault."""
    write_classes(project / "images", {f"small {count}": count for count in (3, 4)} |
                  {f"small 1-{number}": 1 for number in range(10)}, seed=100)
    for number in range(8):
        (project / f"images/cat/empty {number}.jpg").write_bytes(b"")
    text = message()
    shown = [line.strip() for line in text.splitlines() if line.strip().startswith("small ")]
    assert shown[:10] == [f"small 1-{number}: 1 image" for number in range(10)]
    assert "… and 2 more in the report" in text
    names = ", ".join(f"cat/empty {number}.jpg" for number in range(5))
    assert f"  {names} and 3 more: empty file" in text


def test_a_table_that_is_not_read_is_a_note(project, capsys):
    (project / "images/metadata.csv").write_text("path,label\n")
    validate.main()
    assert "note: not read: metadata.csv. The folders name the classes" in capsys.readouterr().out


def write_look_alikes(folder, name, count):
    for state in (0, 1):
        (folder / f"class {state}").mkdir(parents=True)
        for seed in range(count):
            (folder / f"class {state}" / f"{seed}.jpg").write_bytes(jpeg(photograph(name, state, seed), quality=90))


def test_classes_that_differ_by_a_colour_pass_and_can_be_split(project, capsys):
    shutil.rmtree(project / "images")
    write_look_alikes(project / "images", "colour of a shirt", 8)
    set_params(near_copies="different")
    validate.main()
    assert "conflicting labels: 0; near-duplicates with different labels: 0" in capsys.readouterr().out
    split.main()
    findings = artifacts.read_json(artifacts.SPLIT_FINDINGS)
    assert not findings["left_out"] and all(min(row.values()) > 0 for row in findings["classes"].values())


def test_near_copies_with_different_labels_are_a_question(project, capsys):
    """Raising the limit of conflicts does not answer it. Once it is answered, all pictures are used."""
    for number in range(4):
        copy = jpeg(picture(number + 1), quality=40)        # cat/N.jpg is picture N + 1
        (project / "images" / "dog" / f"copy{number}.jpg").write_bytes(copy)
    set_params(max_label_conflicts=100)
    text = message()
    assert "params.yaml: validate.near_copies: ask" in text and "set near_copies: different" in text
    assert "cat/0.jpg (cat) = dog/copy0.jpg (dog)" in text
    assert "set <code>near_copies: different</code>" in artifacts.DATA_REPORT.read_text()
    assert len(artifacts.read_json(artifacts.DATA_FINDINGS)["near_copies"]) == 4
    set_params(near_copies="different")
    validate.main()
    split.main()
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS).set_index("path")["split"]
    assert len(splits) == 26
    for number in range(4):
        assert splits[f"cat/{number}.jpg"] == splits[f"dog/copy{number}.jpg"]


def test_data_docs_name_the_offending_files_need_no_network_and_run_nothing(project):
    name = "dog/<script>alert(1)<&script>$name.jpg"
    (project / "images" / name).write_bytes(b"text")
    set_params(max_unreadable_share=0)
    message()
    page = artifacts.DATA_DOCS.read_text()
    assert "at least 23 of the 23 files are readable, all but 0.0%" in page and "Great Expectations" in page
    assert page.count("dog/&lt;script&gt;alert(1)&lt;&amp;script&gt;$name.jpg") == 2      # in the table and the list
    assert "<script" not in page + artifacts.DATA_REPORT.read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert artifacts.read_json(artifacts.DATA_FINDINGS)["unreadable"] == {name: "not an image"}


@pytest.mark.parametrize("share, passes", [(0.08, False), (0.1, True)])
def test_some_unreadable_files_are_left_out_up_to_the_share(project, share, passes):
    for name in ("a.jpg", "b.jpg"):
        (project / "images" / "dog" / name).write_bytes(b"")  # 2 of 24 are 8.3 %
    set_params(max_unreadable_share=share)
    if not passes:
        assert "readable: 2 of 24 files cannot be read; at most 1 (8%) are allowed [params.yaml: validate" in message()
        return
    validate.main()
    assert "dog/a.jpg" not in artifacts.IMAGES.read_text()


def test_one_class_only(project):
    shutil.rmtree(project / "images" / "dog")
    assert "two classes: 1 class; 2 or more are needed" in message()


@pytest.mark.parametrize("kind", ["missing", "a file", "empty", "no class folder"])
def test_a_folder_that_holds_no_classes(project, kind):
    shutil.rmtree(project / "images")
    if kind == "a file":
        (project / "images").write_bytes(b"")
    elif kind != "missing":
        (project / "images").mkdir()
    if kind == "no class folder":
        (project / "images" / "a.jpg").write_bytes(jpeg(picture(1)))
    text = message()
    assert "params.yaml: data.images" in text and "'images'" in text
    assert not artifacts.IMAGES.exists()


def test_warnings_name_the_images_and_do_not_stop_the_run(project, capsys):
    from PIL import Image

    Image.new("RGB", (64, 64), "grey").save(project / "images" / "cat" / "blank.png")
    picture(7, 20, 30).save(project / "images" / "cat" / "small.png")
    picture(8, 300, 40).save(project / "images" / "cat" / "long.png")
    for number in range(3):
        picture(3).save(project / "images" / "cat" / f"copy{number}.png", compress_level=number + 1)
    validate.main()
    out = capsys.readouterr().out
    for name in ("blank", "small", "long", "copy0"):
        assert f"cat/{name}.png" in out


def test_the_ranges_of_deep_files_and_the_ignored_files_are_told(project, capsys):
    import numpy as np
    from PIL import Image

    for number, bits in enumerate([10, 10, 12]):
        grey = np.asarray(picture(50 + number).convert("L")).astype(np.uint16) << (bits - 8)
        Image.fromarray(grey).save(project / "images" / "cat" / f"deep{number}.tif")
    (project / "images" / "cat" / "notes.txt").write_text("taken in May")
    validate.main()
    assert artifacts.read_json(artifacts.DATA_FINDINGS)["value_ranges"] == {"10 bits": 2, "12 bits": 1}
    out = capsys.readouterr().out
    assert "range of values: 10 bits: 2 images" in out and "ignored: cat/notes.txt: not an image" in out
    assert "<tr><td>10 bits</td><td>2" in artifacts.DATA_REPORT.read_text()


def test_black_pictures_stop_the_run(project):
    from PIL import Image

    for number in range(3):
        Image.new("L", (64, 64), number).save(project / "images" / "cat" / f"black{number}.png")
    assert "cat/black0.png, cat/black1.png, cat/black2.png: every pixel is black" in (text := message())
    assert "max_unreadable_share" in text


def test_a_file_format_that_predicts_the_class_is_a_warning(project, capsys):
    for path in (project / "images" / "dog").iterdir():
        from PIL import Image

        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    validate.main()
    findings = artifacts.read_json(artifacts.DATA_FINDINGS)
    shortcuts = next(each for each in findings["expectations"] if each["name"] == "shortcuts")
    assert not shortcuts["success"] and "file format" in shortcuts["offending"]
    assert "file format 1.00" in shortcuts["observed"]
    assert "1 is certain): file size" in (out := capsys.readouterr().out) and "file format 1.00" in out


def test_nothing_is_asked_of_the_network_and_no_progress_bar_is_drawn_in_a_log(project):
    """In a process where every connection is counted and refused: no telemetry, and no stray line on standard error."""
    code = """
import runpy, socket
asked = []
def refuse(self, address):
    asked.append(address)
    raise OSError("no network")
socket.socket.connect = refuse
socket.getaddrinfo = lambda *arguments, **_: asked.append(arguments) or []
runpy.run_module("tasks.validate", run_name="__main__")
print("asked:", asked)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(artifacts.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "asked: []" in done.stdout
    assert done.stderr == ""
