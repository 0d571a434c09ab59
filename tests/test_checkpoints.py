import dataclasses

import numpy as np
from full_disk import full_disk

from pipeline.training import checkpoints


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path):
    now, best = [np.arange(3.0), np.float32(2)], [np.eye(2)]
    checkpoints.write(tmp_path / "a" / "c.npz", {"epoch": 3, "best_loss": float("inf")}, now=now, best=best)
    progress, arrays = checkpoints.read(tmp_path / "a" / "c.npz")
    assert progress == {"epoch": 3, "best_loss": float("inf")}
    assert all(np.array_equal(a, b) for a, b in zip([*now, *best], [*arrays["now"], *arrays["best"]], strict=True))
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["c.npz"]


def test_a_disk_that_takes_no_more_is_said_once_and_keeps_the_last_checkpoint(tmp_path, capsys):
    checkpoints.write(tmp_path / "c.npz", {"epoch": 1}, now=[np.arange(3.0)])
    with full_disk(2000):
        for epoch in (2, 3):
            checkpoints.write(tmp_path / "c.npz", {"epoch": epoch}, now=[np.arange(999.0)])
    assert capsys.readouterr().out.count("c.npz: File too large: training goes on without checkpoints") == 1
    assert checkpoints.read(tmp_path / "c.npz")[0] == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"]


def test_a_checkpoint_of_another_origin_is_not_read_and_said(tmp_path, capsys):
    params = dataclasses.make_dataclass("Params", ["epochs"])
    (tmp_path / "input").write_text("a")

    def path(epochs, module="pipeline.shards"):
        return checkpoints.checkpoint_path(tmp_path / "c", params(epochs), [tmp_path / "input"], module)

    first = path(1)
    checkpoints.write(first, {})
    assert path(1) == first
    assert capsys.readouterr().out == ""
    assert path(2) != first
    assert path(1, "graft.errors") != first
    assert "1 checkpoint of other data, parameters or code: not used" in capsys.readouterr().out
    (tmp_path / "input").write_text("b")
    assert path(1) != first
