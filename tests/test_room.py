import os
from shutil import disk_usage

import pytest

from pipeline.training.room import LOCK, Room

SHARD_BYTES = 1000


@pytest.fixture
def cache(tmp_path):
    """Three folders with two shards each; the lower a shard's number, the longer ago it was used."""
    for number in range(6):
        add_shard(tmp_path / "cache" / "abc"[number // 2], f"{number}", used_s=1000 + number)
    return tmp_path / "cache"


def add_shard(folder, name, used_s):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.npy").write_bytes(bytes(SHARD_BYTES))
    (folder / f"{name}.json").touch()
    os.utime(folder / f"{name}.json", (used_s, used_s))


def left(cache):
    return "".join(sorted(file.stem for file in cache.glob("*/*.npy")))


@pytest.mark.parametrize("needed, fits, remains", [
    (0, True, "012345"), (1 * SHARD_BYTES, True, "12345"), (2500, True, "345"), (6 * SHARD_BYTES, True, ""),
    (6 * SHARD_BYTES + 1, False, "012345"),
])
def test_what_was_used_least_recently_goes_until_the_rest_fits(cache, needed, fits, remains):
    assert Room(cache / "new", 6 * SHARD_BYTES).make(needed, kept=()) == fits
    assert left(cache) == remains
    assert sorted(file.stem for file in cache.glob("*/*.json")) == list(remains)


def test_a_folder_that_is_empty_goes_too(cache):
    Room(cache / "new", 6 * SHARD_BYTES).make(2 * SHARD_BYTES, kept=())
    assert sorted(each.name for each in cache.iterdir()) == ["b", "c", LOCK, "new"]


def test_what_others_use_and_what_is_kept_stays(cache):
    other, ours = Room(cache / "a", 0), Room(cache / "c", 6 * SHARD_BYTES)
    assert not ours.make(4 * SHARD_BYTES, kept={"4"})           # 0 and 1 are in use
    assert ours.make(3 * SHARD_BYTES, kept={"4"}) and left(cache) == "014"
    del other
    assert ours.make(5 * SHARD_BYTES, kept={"4"}) and left(cache) == "4"


def test_a_folder_that_two_processes_share_loses_nothing(cache):
    other, ours = Room(cache / "c", 0), Room(cache / "c", 6 * SHARD_BYTES)
    assert ours.make(4 * SHARD_BYTES, kept=()) and left(cache) == "45"
    assert not ours.make(5 * SHARD_BYTES, kept=())
    assert other.folder == ours.folder


def test_what_a_killed_process_left_goes(cache):
    (cache / "a/.7-0123.tmp").write_bytes(bytes(SHARD_BYTES))
    os.utime(cache / "a/.7-0123.tmp", (1, 1))
    assert Room(cache / "new", 7 * SHARD_BYTES).make(SHARD_BYTES, kept=()) and left(cache) == "012345"
    assert not (cache / "a/.7-0123.tmp").exists()


def test_the_free_disk_is_a_limit_too(cache, tmp_path):
    room = Room(cache / "new", 1e18)
    assert not room.make(2 * disk_usage(tmp_path).free, kept=()) and left(cache) == "012345"
