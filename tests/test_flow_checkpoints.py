"""A checkpoint follows its training to another host."""

from pathlib import Path

import pytest

from benchmarks.processes import wait_for
from flows import checkpoint_mirror
from graft.store import LocalStore, Stored


def mirrored(remote, every_s=60):
    return checkpoint_mirror.mirrored(str(remote), print, every_s)


def test_the_next_host_finds_what_the_last_one_left(tmp_path, monkeypatch):
    for host in ("first", "second", "third"):
        (tmp_path / host).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    folder = tmp_path / "first/.graft/finetune/block_2_add"
    with mirrored(tmp_path / "remote"):
        folder.mkdir(parents=True)
        (folder / "abc.npz").write_bytes(b"epoch 3")
        (folder / ".abc.npz.12.npz").write_bytes(b"half")

    monkeypatch.chdir(tmp_path / "second")
    found = tmp_path / "second/.graft/finetune/block_2_add/abc.npz"
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
        wait_for(copy.exists)
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


HOSTILE = ["../sitecustomize.py", "../../escaped.npz", "finetune/../../x.npz", "/tmp/absolute.npz",
           "finetune//tmp/x.npz", "finetune/a/b/c.npz", "finetune/.hidden.npz", "finetune/x.py", "x.npz", "finetune/",
           "", "finetune\\x.npz", "finetune/x\x1b[2J.npz", f"finetune/{'x' * 300}.npz", "..", "finetune/con.npz",
           "./finetune/x.npz"]


@pytest.mark.parametrize("key", HOSTILE)
def test_a_key_that_is_no_checkpoint_is_named_and_not_written(tmp_path, monkeypatch, key):
    """On S3 a key is any text; the oracle is the list of all files below the worker's folder."""
    worker = tmp_path / "a/worker"
    worker.mkdir(parents=True)
    monkeypatch.chdir(worker)
    remote = RemoteOf([key, "finetune/abc.npz"])
    monkeypatch.setattr(checkpoint_mirror, "open_store", lambda address: remote)
    said = []
    with checkpoint_mirror.mirrored("s3://bucket/dvc", lambda *words: said.append(str(words))):
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [worker / ".graft/finetune/abc.npz"]
    assert not Path("/tmp/absolute.npz").exists()
    assert len(said) == 1 and "\x1b" not in said[0]


def test_a_checkpoint_that_is_too_large_is_not_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint_mirror, "open_store", lambda address: RemoteOf(["finetune/abc.npz"], 5 << 30))
    said = []
    with checkpoint_mirror.mirrored("s3://bucket/dvc", lambda *words: said.append(str(words))):
        assert not list(tmp_path.rglob("*.npz"))
    assert "is no checkpoint" in said[0]


class RemoteOf(LocalStore):
    """A store that lists any keys, as S3 does."""

    def __init__(self, keys: list[str], size_bytes: int = 7):
        super().__init__("unused")
        self.keys, self.size_bytes = keys, size_bytes

    def scan(self, prefix):
        return iter([Stored(key, self.size_bytes, self.now()) for key in self.keys])

    def read(self, key, start, length):
        return b"epoch 3"

    def replace(self, key, data):
        pass
