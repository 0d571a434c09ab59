import pandas as pd
import pytest

from graft.errors import GraftError
from tasks import artifacts

COLUMNS = {"path": str, "views": "int64"}


def test_a_table_comes_back_as_it_was_written(tmp_path):
    table = pd.DataFrame({"views": [1, 2], "path": ["NA", "a, \"b\"\u00e9.jpg"], "more": [0, 0]})
    artifacts.write_table(tmp_path / "x" / "t.csv", table, COLUMNS)
    read = artifacts.read_table(tmp_path / "x" / "t.csv", COLUMNS)
    assert read.to_dict("list") == {"path": ["NA", "a, \"b\"\u00e9.jpg"], "views": [1, 2]}


@pytest.mark.parametrize(("content", "part"), [
    (None, "is missing: run `dvc repro x` first"),
    ("path\na.jpg\n", "column views is missing"),
    ("path,views\na.jpg,many\n", "is damaged"),
])
def test_a_missing_or_damaged_table_is_told(tmp_path, content, part):
    file = tmp_path / "x" / "t.csv"
    file.parent.mkdir()
    if content is not None:
        file.write_text(content)
    with pytest.raises(GraftError, match=part):
        artifacts.read_table(file, COLUMNS)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "report.html"
    artifacts.write_text(file, "old")
    with pytest.raises(UnicodeEncodeError):
        artifacts.write_text(file, "new \ud800")        # a lone surrogate cannot be encoded
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_json_refuses_what_is_no_number(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        artifacts.write_json(tmp_path / "m.json", {"loss": float("nan")})
