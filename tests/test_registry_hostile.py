"""What whoever may write to a registry can plant there is refused in one message, hides nothing and hangs nobody."""

import json
import os
from datetime import timedelta

import pytest
from registries import bundle, objects, overwrite

from graft.errors import GraftError
from graft.model.bundle import DESCRIPTION, read_description
from graft.model.json_rules import MOST_LEVELS, parse
from graft.registry import gc, history, log, manifest, promote, publish, pull, rollback, verify
from graft.store import Damaged, LocalStore, open_store

MANIFEST = "models/colours/versions/{}/manifest.json"


@pytest.fixture
def local(tmp_path, monkeypatch) -> str:
    """A registry with one version, which is the champion."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    where = str(tmp_path / "registry")
    publish(bundle(1), "colours", where)
    promote(f"{where}/colours@1")
    return where


def plant(where: str, number: int) -> None:
    content = json.loads(objects(where)[MANIFEST.format("000001")]) | {"number": number}
    overwrite(where, MANIFEST.format(f"{number:06}"), json.dumps(content).encode())


@pytest.mark.parametrize("number", [1_000_000, 999_999_999, 10**12])
def test_a_number_beyond_the_bound_hides_no_version(local, number, monkeypatch):
    plant(local, number)
    assert publish(bundle(2), "colours", local).version == 2
    real_now = LocalStore.now
    monkeypatch.setattr(LocalStore, "now", lambda self: real_now(self) + timedelta(days=200))
    assert gc(local, keep=1, delete=True).versions == []
    assert pull(f"{local}/colours@latest").version == 2
    assert verify(local).is_sound
    with pytest.raises(GraftError, match="version numbers end at 999,999"):
        pull(f"{local}/colours@{number}")


@pytest.mark.parametrize("number", [3, 999_999])
def test_a_number_that_follows_none_is_told_and_nothing_is_removed(local, number):
    plant(local, number)
    before = objects(local)
    for act in (lambda: publish(bundle(2), "colours", local), lambda: gc(local, keep=1, days=0, delete=True),
                lambda: pull(f"{local}/colours@latest")):
        with pytest.raises(GraftError, match=f"colours has no version 2, but it has version {number}. .*remove .*json"):
            act()
    assert objects(local) == before
    assert [each.where for each in verify(local).findings] == ["colours@2"]
    assert pull(f"{local}/colours").version == 1
    overwrite(local, MANIFEST.format(f"{number:06}"), None)
    assert publish(bundle(2), "colours", local).version == 2


@pytest.mark.parametrize("number", [3, 999_999, 999_999_999])
def test_an_entry_that_follows_none_is_no_head(local, number):
    entry = json.loads(objects(local)["models/colours/log/000001.json"]) | {"number": number}
    entry["aliases"]["champion"]["version"] = 7
    overwrite(local, f"models/colours/log/{number:06}.json", json.dumps(entry).encode())
    try:
        assert log.head(open_store(local), "colours").version_of("champion") == 1
    except Damaged as error:
        assert "has no entry 2" in str(error)
    else:
        assert number > 999_999


def test_only_gc_marks_versions_as_deleted(local):
    publish(bundle(2), "colours", local)
    promote(f"{local}/colours@2")
    key = "models/colours/log/000002.json"
    overwrite(local, key, json.dumps(json.loads(objects(local)[key]) | {"deleted": [1]}).encode())
    with pytest.raises(Damaged, match="its deleted versions do not follow from the previous entry"):
        history(f"{local}/colours")


def test_a_rollback_leads_only_to_what_was_promoted(local):
    publish(bundle(2), "colours", local)
    promote(f"{local}/colours@2")
    changed = json.loads(objects(local)[MANIFEST.format("000001")])
    changed["files"] = json.loads(objects(local)[MANIFEST.format("000002")])["files"]
    overwrite(local, MANIFEST.format("000001"), json.dumps(changed).encode())
    with pytest.raises(Damaged, match="was changed"):
        rollback(f"{local}/colours")
    assert pull(f"{local}/colours").version == 2


def test_a_wrong_clock_dates_its_own_entry_only(local, monkeypatch):
    publish(bundle(2), "colours", local)
    real_now = LocalStore.now
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "now", lambda self: real_now(self) + timedelta(days=3650))
        promote(f"{local}/colours@2")
    promote(f"{local}/colours@1")
    first, wrong, last = [entry.time for entry in history(f"{local}/colours")]
    assert wrong - first > timedelta(days=3000) and last - first < timedelta(days=1)


@pytest.mark.parametrize("key", ["models/colours/log/000001.json", MANIFEST.format("000001"), "blob"])
def test_a_pipe_in_a_folder_is_refused_at_once(local, key):
    path = next(path for path in open_store(local)._root.rglob("*") if path.is_file() and (
        path.as_posix().endswith(key) or (key == "blob" and "blobs" in path.parts)))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Damaged, match="no file, but a pipe or a device|is missing|has the wrong size"):
        pull(f"{local}/colours")


DEEP = b"[" * (MOST_LEVELS + 1) + b"]" * (MOST_LEVELS + 1)
FOREIGN = {
    "deep": DEEP, "very deep": b"[" * 100_000, "deep objects": b'{"a":' * 5000, "infinite": b"[1e999]",
    "Infinity": b"[Infinity]", "NaN": b"[NaN]", "a large number": b"[%d]" % 10**30, "not UTF-8": b'["\xff\xfe"]',
    "many digits": b"[" + b"9" * 100_000 + b"]",
    "empty": b"", "half": b'{"a"', "zeros": b"\0" * 50, "too large": b" " * 5_000_000,
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_foreign_json_is_refused(data, tmp_path):
    with pytest.raises(ValueError):
        parse(data)
    for decode in (lambda: log.decode(data, "there"), lambda: manifest.decode(data, "pets", 1, "there")):
        with pytest.raises(Damaged, match="there"):
            decode()
    (tmp_path / DESCRIPTION).write_bytes(data)
    with pytest.raises(GraftError, match="model.json"):
        read_description(tmp_path)


@pytest.mark.parametrize("facts", [{"class_names": [["a"], {}]}, {"class_names": [1, 2]}, {"published": "now"},
                                   {"published": "0001-01-01T00:00:00+23:59"}, {"published": "2026-01-01T00:00:00"}])
def test_a_manifest_that_nobody_could_use_is_refused(local, facts):
    data = json.dumps(json.loads(objects(local)[MANIFEST.format("000001")]) | facts).encode()
    with pytest.raises(Damaged, match=next(iter(facts))):
        manifest.decode(data, "colours", 1, "there")


def test_json_as_deep_as_it_may_be_is_read():
    assert parse(DEEP[1:-1]) is not None
    assert parse(b'{"a": [1.5, -1, null, true, "\xc3\xa9"]}') == {"a": [1.5, -1, None, True, "é"]}
