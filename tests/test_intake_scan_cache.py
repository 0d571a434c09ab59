"""The cache of measurements on a disk that takes no more: the scan goes on, and says so once."""

import contextlib
import sqlite3

from intake_images import write_classes

from pipeline.intake.listing import list_files
from pipeline.intake.scan import scan
from pipeline.intake.scan_cache import ScanCache


def test_a_cache_that_cannot_be_made_is_said_once(tmp_path, capsys):
    write_classes(tmp_path / "images", {"cat": 3})
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    assert len(scan(tmp_path / "images", list_files(tmp_path / "images"), cache).fingerprints) == 3
    assert cache.thumbnail("cat/0.jpg") == cache.thumbnail("cat/0.jpg")
    assert capsys.readouterr().out.count("measurements are not kept") == 1


def test_a_disk_that_is_full_halfway_is_said_once(tmp_path, capsys):
    write_classes(tmp_path / "images", {"cat": 30})
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    cache.connection.execute("PRAGMA max_page_count = 1")       # SQLite answers as it does on a full disk
    assert len(scan(tmp_path / "images", list_files(tmp_path / "images"), cache).fingerprints) == 30
    assert capsys.readouterr().out.count("database or disk is full: measurements are not kept") == 1


def test_a_cache_that_another_process_writes_is_left_to_it(tmp_path, capsys):
    write_classes(tmp_path / "images", {"cat": 3})
    listing = list_files(tmp_path / "images")
    scan(tmp_path / "images", listing, ScanCache(tmp_path / "cache", tmp_path / "images"))
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    cache.connection.execute("PRAGMA busy_timeout = 0")         # else it would wait for a minute
    with contextlib.closing(sqlite3.connect(cache.path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert scan(tmp_path / "images", listing, cache).read == 3
    assert "database is locked: measurements are not kept" in capsys.readouterr().out
    assert scan(tmp_path / "images", listing, ScanCache(tmp_path / "cache", tmp_path / "images")).read == 0
