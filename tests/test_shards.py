import json

import numpy as np
import pytest

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
    assert json.loads(keys.read_text()) == ["a"]
    keys.unlink()
    assert "a" not in Shards(tmp_path)
