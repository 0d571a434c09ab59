import dataclasses

import numpy as np
from full_disk import full_disk

from pipeline.training import checkpoints


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path):
    now, best = [np.arange(3.0), np.float32(2)], [np.eye(2)]
    checkpoints.write(tmp_path / "a" / "c.npz", {"epoch": 3, "best_loss": float("inf")}, now=now, best=best)
    progress, arrays = checkpoints.read(tmp_path / "a" / "c.npz", {"epoch": 0, "best_loss": 0.0}, now=now, best=best)
    assert progress == {"epoch": 3, "best_loss": float("inf")}
    assert all(np.array_equal(a, b) for a, b in zip([*now, *best], [*arrays["now"], *arrays["best"]], strict=True))
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["c.npz"]


def test_a_disk_that_takes_no_more_is_said_once_and_keeps_the_last_checkpoint(tmp_path, capsys):
    checkpoints.write(tmp_path / "c.npz", {"epoch": 1}, now=[np.arange(3.0)])
    with full_disk(2000):
        for epoch in (2, 3):
            checkpoints.write(tmp_path / "c.npz", {"epoch": epoch}, now=[np.arange(999.0)])
    assert capsys.readouterr().out.count("c.npz: File too large: training goes on without checkpoints") == 1
    assert checkpoints.read(tmp_path / "c.npz", {"epoch": 0})[0] == {"epoch": 1}
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


def test_one_that_is_damaged_or_of_another_model_is_said_and_removed(tmp_path, capsys):
    path, now = tmp_path / "c.npz", [np.arange(3.0)]
    checkpoints.write(path, {"epoch": 1}, now=now)
    content = path.read_bytes()
    flipped = [content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :] for at in range(0, len(content), 7)]
    for damaged in (b"", b"PK", content[:-1], content[:-80], content + b"x", *flipped):
        path.write_bytes(damaged)
        assert checkpoints.read(path, {"epoch": 0}, now=now) is None
        assert capsys.readouterr().out == f"{path}: damaged, so it is made again\n"
        assert not path.exists()
    for progress, lists in (({"epoch": 0}, [np.arange(4.0)]), ({"epoch": 0, "step": 0}, now)):
        path.write_bytes(content)
        assert checkpoints.read(path, progress, now=lists) is None
        assert not path.exists()
    (tmp_path / "other.npz").write_bytes(content)       # a checkpoint of another training
    assert checkpoints.read(tmp_path / "other.npz", {"epoch": 0}, now=now) is None
