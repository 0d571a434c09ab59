"""Two tables of images: what is new, gone, renamed, relabelled, and how far classes and sizes have shifted."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from scipy.stats import ks_2samp
from tiny_bundle import make_bundle

from graft.errors import GraftError
from graft.registry import publish, pull
from pipeline.intake.comparison import as_text, compare, read_images


def images(*rows):
    """Rows of (path, label, sha256)."""
    table = pd.DataFrame(rows, columns=["path", "label", "sha256"], dtype=str)
    return table.assign(
        width_px=[100.0 + i for i in range(len(rows))], height_px=80.0, size_bytes=5000.0, contrast=50.0
    )


OLD = images(("cat/1", "cat", "a"), ("cat/2", "cat", "b"), ("dog/3", "dog", "c"), ("dog/4", "dog", "d"))
NEW = images(("cat/1", "cat", "a"), ("dog/2", "dog", "b"), ("dog/three", "dog", "c"), ("bird/5", "bird", "e"))


def test_images_are_known_by_their_bytes():
    found = compare(OLD, NEW)
    assert found["new"] == ["bird/5"] and found["gone"] == ["dog/4"]
    assert found["renamed"] == [["cat/2", "dog/2"], ["dog/3", "dog/three"]]
    assert found["relabelled"] == [["dog/2", "cat", "dog"]]
    assert found["classes"] == {"bird": {"old": 0, "new": 1}, "cat": {"old": 2, "new": 1}, "dog": {"old": 2, "new": 2}}
    assert found["class_shift"] == 0.25  # one of four images has another class


def test_a_table_is_equal_to_itself():
    found = compare(OLD, OLD)
    assert not any(found[name] for name in ("new", "gone", "renamed", "relabelled"))
    assert found["class_shift"] == 0 and found["measures"]["width_px"]["shift"] == 0


def test_the_shift_of_a_measure_is_kolmogorov_and_smirnov_s():
    old, new = images(*[(str(i), "a", str(i)) for i in range(50)]), images(*[(str(i), "a", str(i)) for i in range(70)])
    expected = ks_2samp(old["width_px"], new["width_px"]).statistic
    assert compare(old, new)["measures"]["width_px"]["shift"] == pytest.approx(expected, abs=1e-4)


def test_an_empty_table():
    assert "0 images before, 4 now: 4 new" in as_text(compare(OLD[:0], NEW))


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tasks.compare", *map(str, arguments)], capture_output=True, text=True
    )


def test_the_command_takes_a_file_or_a_folder(tmp_path):
    OLD.to_csv(tmp_path / "old.csv", index=False)
    NEW.to_csv(tmp_path / "images.csv", index=False)
    done = run(tmp_path / "old.csv", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 images before, 4 now: 1 new, 1 gone, 2 renamed, 1 relabelled" in done.stdout
    assert "- relabelled: dog/2: cat → dog" in done.stdout and "| bird | 0 | 1 |" in done.stdout
    assert json.loads(run(tmp_path / "old.csv", tmp_path, "--json").stdout) == compare(OLD, NEW)


def test_a_published_version_is_compared_by_its_address(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    OLD.to_csv(tmp_path / "images.csv", index=False)
    published = publish(make_bundle(tmp_path / "bundle"), "pets", str(tmp_path / "registry"),
                        attachments={"images.csv": tmp_path / "images.csv"})
    assert read_images("pets@1").equals(OLD)
    assert read_images(pull(published.address, attachments=True).folder).equals(OLD)
    with pytest.raises(GraftError, match="has no version 7"):
        read_images("pets@7")


@pytest.mark.parametrize("content", [None, "path,label\na,b\n", "\x00\x01"])
def test_what_is_no_table_of_images(tmp_path, content):
    if content is not None:
        (tmp_path / "images.csv").write_text(content)
    done = run(tmp_path, tmp_path)
    assert done.returncode == 2 and "images.csv" in done.stderr and "Traceback" not in done.stderr
