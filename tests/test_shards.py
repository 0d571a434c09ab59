import json

import numpy as np
import pytest

from pipeline import sealed
from pipeline.shards import Shards


def rows(count, start=0):
    return (np.arange(count * 6, dtype=np.float16) + start).reshape(count, 1, 2, 3)


def test_rows_come_back_in_any_order_in_any_process(tmp_path):
    Shards(tmp_path).write(["a", "b", "c"], rows(3))
    Shards(tmp_path).write(["d"], rows(1, start=100))
    opened = Shards(tmp_path)
    assert np.array_equal(opened.read(["d", "b"]), np.stack([rows(1, 100)[0], rows(3)[1]]))
    assert "c" in opened
    assert "e" not in opened


def test_a_row_that_is_not_there_is_no_silent_zero(tmp_path):
    with pytest.raises(KeyError):
        Shards(tmp_path).read(["a"])


def test_the_same_rows_are_the_same_files(tmp_path):
    for folder in ("one", "two"):
        Shards(tmp_path / folder).write(["a", "b"], rows(2))
    contents = [{file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()} for folder in ("one", "two")]
    assert contents[0] == contents[1]


def test_a_shard_whose_keys_were_not_written_yet_does_not_count(tmp_path):
    """The keys are written last: a process that is killed before leaves a shard that nobody reads."""
    Shards(tmp_path).write(["a"], rows(1))
    keys = next(tmp_path.glob("*.json"))
    assert json.loads(sealed.read(keys)) == ["a"]
    keys.unlink()
    assert "a" not in Shards(tmp_path)


def test_damaged_rows_or_keys_are_missing_and_said(tmp_path, capsys):
    Shards(tmp_path).write(["a", "b"], rows(2))
    Shards(tmp_path).write(["c"], rows(1))
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path, content in files.items():
        for damaged in (b"", content[:-1], content[:40], content[:-90] + b"x" + content[-89:], None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            opened = Shards(tmp_path)
            lost = [key for key in "abc" if not opened.hold([key])]
            assert lost in (["a", "b"], ["c"])
            assert capsys.readouterr().out.count("damaged, so it is made again") == (damaged is not None)
            assert not opened.hold(["a", "b", "c"])
            assert [key in Shards(tmp_path) for key in "abc"] == [key not in lost for key in "abc"]
            for each, was in files.items():
                each.write_bytes(was)
    assert np.array_equal(Shards(tmp_path).read(["b", "c"]), np.stack([rows(2)[1], rows(1)[0]]))
