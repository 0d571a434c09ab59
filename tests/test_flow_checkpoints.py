"""A checkpoint follows its training to another host."""

import time

from flows import checkpoint_mirror


def mirrored(remote, every_s=60):
    return checkpoint_mirror.mirrored(str(remote), print, every_s)


def test_the_next_host_finds_what_the_last_one_left(tmp_path, monkeypatch):
    for host in ("first", "second", "third"):
        (tmp_path / host).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    folder = tmp_path / "first/.graft/finetune"
    with mirrored(tmp_path / "remote"):
        folder.mkdir(parents=True)
        (folder / "abc.npz").write_bytes(b"epoch 3")
        (folder / ".abc.npz.12.npz").write_bytes(b"half")

    monkeypatch.chdir(tmp_path / "second")
    found = tmp_path / "second/.graft/finetune/abc.npz"
    with mirrored(tmp_path / "remote"):
        assert found.read_bytes() == b"epoch 3"
        assert [path.name for path in found.parent.iterdir()] == ["abc.npz"]
        found.unlink()                              # the training has ended

    monkeypatch.chdir(tmp_path / "third")
    with mirrored(tmp_path / "remote"):
        assert not list((tmp_path / "third").rglob("*.npz"))


def test_what_is_written_meanwhile_is_copied_before_the_host_is_lost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ".graft/transfer/abc.npz"
    path.parent.mkdir(parents=True)
    copy = tmp_path / "remote/checkpoints/transfer/abc.npz"
    with mirrored(tmp_path / "remote", every_s=0.05):
        path.write_bytes(b"epoch 1")
        for _ in range(200):
            if copy.exists():
                break
            time.sleep(0.05)
        assert copy.read_bytes() == b"epoch 1"


def test_a_remote_that_cannot_be_used_stops_no_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "remote").write_text("a file, not a folder")
    warnings = []
    with checkpoint_mirror.mirrored(str(tmp_path / "remote"), lambda *words: warnings.append(words)):
        path = tmp_path / ".graft/transfer/abc.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"epoch 1")
    assert warnings and "not up to date" in warnings[0][0]
