import fcntl
import os

import pytest

from graft.errors import GraftError
from tasks import cache


@pytest.fixture
def filled(tmp_path):
    """A cache with 3 MB of activations in two folders, one of them locked by a process, a scan and a pulled model."""
    for name in ("activations/used/1.npy", "activations/idle/1.npy", "intake/scans.sqlite", "home/digits/model.onnx"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(bytes(1_500_000))
        os.utime(tmp_path / name, (1_800_000_000, 1_800_000_000))
    with open(tmp_path / "activations/used/lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock.fileno(), (1_800_000_000, 1_800_000_000))
        yield tmp_path


def test_each_part_is_shown_with_its_size_and_what_its_loss_costs(filled):
    _, activations, intake = cache.show(filled)
    assert activations.split()[:3] == ["activations", "3.0", "2027-01-15"]
    assert intake.split()[:2] == ["intake", "1.5"] and intake.endswith("`validate` reads every image anew")


def test_what_is_in_use_and_what_is_no_cache_stays(filled):
    assert list(cache.empty(filled, [])) == ["activations: 1.5 MB removed; 1 in use, kept", "intake: 1.5 MB removed"]
    left = sorted(file.relative_to(filled).as_posix() for file in filled.rglob("*") if file.is_file())
    assert left == ["activations/used/1.npy", "activations/used/lock", "home/digits/model.onnx"]


def test_only_the_part_that_is_named_is_emptied(filled):
    assert list(cache.empty(filled, ["intake"])) == ["intake: 1.5 MB removed"]
    assert (filled / "activations/idle/1.npy").exists()


def test_an_unknown_part_is_refused_before_anything_is_removed(filled):
    with pytest.raises(GraftError, match="no part 'activation'.*Did you mean 'activations'"):
        list(cache.empty(filled, ["intake", "activation"]))
    assert (filled / "intake/scans.sqlite").exists()
