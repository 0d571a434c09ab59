"""Publish, pull, promote, roll back: the same on every store."""

import functools
import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from registries import bundle, objects, overwrite

import graft
from graft.errors import GraftError
from graft.model.classifier import Classifier
from graft.registry import AliasMoved, history, log, promote, publication, publish, pull, rollback, state_at, verify
from graft.registry.address import Address, parse
from graft.registry.lookup import find_number
from graft.store import open_store

WHITE = np.full((24, 32, 3), 255, np.uint8)


def published(registry, count=1, name="colours"):
    return [publish(bundle(seed), name, registry) for seed in range(1, count + 1)]


def test_publish_pull_predict(registry):
    first = publish(bundle(), "colours", registry, facts={"metrics": {"accuracy": [0.9, 0.8, 0.95]}})
    assert (first.version, first.is_new, first.address) == (1, True, f"{registry}/colours@1")
    assert (first.registry, first.name) == (registry, "colours")
    pulled = pull(f"{registry}/colours@1")
    for name in ("model.onnx", "model.json", "unknown.npz"):
        assert (pulled.folder / name).read_bytes() == (bundle() / name).read_bytes()
    assert Classifier(pulled.folder).predict(WHITE) == Classifier(bundle()).predict(WHITE)


def test_the_same_bundle_is_the_same_version(registry):
    publish(bundle(1), "colours", registry, facts={"seconds": 1})
    publish(bundle(2), "colours", registry)
    before = objects(registry)
    other = {"other.txt": Path(__file__)}
    again = publish(bundle(1), "colours", registry, facts={"seconds": 2}, attachments=other)
    assert (again.version, again.is_new) == (1, False)
    assert objects(registry) == before


def test_manifest_holds_what_is_known(real, tmp_path):
    report = tmp_path / "report.html"
    report.write_text("<p>ä</p>", encoding="utf-8")
    facts = {"commit": "0123abc", "dirty": False, "libraries": {"keras": "3"}, "seconds": 1.5, "gate": {"ok": True}}
    publish(bundle(1), "colours", real)
    promote(f"{real}/colours@1")
    publish(bundle(2), "colours", real, facts=facts, attachments={"report.html": report})
    folder = pull(f"{real}/colours@2", attachments=True).folder
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert content["facts"] == facts
    assert content["class_names"] == ["blue", "green", "red"]
    assert content["input"]["shape"] == ["batch", 24, 32, 3]
    assert (content["name"], content["number"], content["parent"]) == ("colours", 2, 1)
    assert (folder / "attachments" / "report.html").read_bytes() == report.read_bytes()


def test_equal_files_are_stored_once(real, tmp_path):
    (tmp_path / "one.txt").write_text("same")
    (tmp_path / "two.txt").write_text("same")
    attachments = {path.name: path for path in tmp_path.glob("*.txt")}
    publish(bundle(), "one", real, attachments=attachments)
    publish(bundle(), "two", real)
    assert len([key for key in objects(real) if key.startswith("blobs/")]) == 4
    folder = pull(f"{real}/one@1", attachments=True).folder
    assert [(folder / "attachments" / name).read_text() for name in attachments] == ["same", "same"]


def test_promote_decides_what_is_pulled(registry):
    published(registry, 3)
    promote(f"{registry}/colours@2", reason="better")
    assert pull(f"{registry}/colours").version == 2
    assert pull(f"{registry}/colours@champion").version == 2
    assert pull(f"{registry}/colours@latest").version == 3
    promote(f"{registry}/colours@3", alias="candidate")
    assert pull(f"{registry}/colours@candidate").version == 3
    promote(f"{registry}/colours@candidate")
    assert pull(f"{registry}/colours").version == 3


def test_a_model_that_was_never_promoted_is_pulled_with_a_note(real):
    published(real, 2)
    pulled = pull(f"{real}/colours")
    assert pulled.version == 2
    assert "never promoted" in pulled.note
    promote(f"{real}/colours@1")
    assert pull(f"{real}/colours").note == ""


def test_promote_twice_is_one_entry(real):
    published(real)
    assert promote(f"{real}/colours@1").number == 1
    assert promote(f"{real}/colours@1") is None
    assert len(history(f"{real}/colours")) == 1


def test_expect_is_compared(registry):
    published(registry, 3)
    promote(f"{registry}/colours@1", expect=0, reason="the first one", by="ann")
    promote(f"{registry}/colours@2", expect=1)
    with pytest.raises(AliasMoved, match="champion names version 2, expected version 1"):
        promote(f"{registry}/colours@3", expect=1)
    with pytest.raises(AliasMoved, match="expected no version"):
        promote(f"{registry}/colours@3", expect=0)
    with pytest.raises(AliasMoved):
        rollback(f"{registry}/colours", expect=1)
    assert len(history(f"{registry}/colours")) == 2


def test_rollback_goes_back_one_promotion_at_a_time(real):
    published(real, 3)
    for number in (1, 2, 3):
        promote(f"{real}/colours@{number}")
    assert rollback(f"{real}/colours", reason="too slow").version == 2
    assert rollback(f"{real}/colours").version == 1
    promote(f"{real}/colours@3")
    assert rollback(f"{real}/colours").version == 1
    with pytest.raises(GraftError, match="graft rollback colours --to-none"):
        rollback(f"{real}/colours")
    assert rollback(f"{real}/colours", to_none=True).version is None
    with pytest.raises(GraftError, match="no alias 'champion' to roll back"):
        rollback(f"{real}/colours")
    with pytest.raises(GraftError, match="no alias 'champion'.*versions are: 1, 2, 3"):
        pull(f"{real}/colours")


def test_history_tells_what_held_when(real):
    published(real, 2)
    promote(f"{real}/colours@1", reason="why", by="ann", gate={"verdict": "PROMOTE"})
    promote(f"{real}/colours@2", alias="candidate")
    rollback(f"{real}/colours", alias="candidate")
    one, two, three = history(f"{real}/colours")
    assert (one.action, one.version, one.replaced, one.reason, one.by, one.gate) == (
        "promote", 1, None, "why", "ann", {"verdict": "PROMOTE"})
    assert (two.alias, two.version, two.previous) == ("candidate", 2, one.digest)
    assert (three.action, three.replaced, three.version) == ("rollback", 2, None)
    assert one.time <= two.time <= three.time
    assert state_at([one, two, three], one.time - timedelta(seconds=1)).aliases == {}
    assert state_at([one], one.time).version_of("champion") == 1


def test_aliases_json_says_what_the_log_says(real):
    published(real)
    promote(f"{real}/colours@1")
    content = json.loads(objects(real)["models/colours/aliases.json"])
    assert content == {"log": 1, "aliases": history(f"{real}/colours")[-1].aliases}


def test_an_endless_aliases_json_harms_nobody_and_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    where = str(tmp_path / "registry")
    publish(bundle(), "colours", where)
    promote("colours@1", registry=where)
    overwrite(where, "models/colours/aliases.json", b" " * 5_000_000)
    assert pull("colours", registry=where).version == 1
    report = verify(where)
    assert report.is_sound and [each.where for each in report.findings] == ["models/colours/aliases.json"]


def test_a_second_pull_transfers_nothing(real):
    published(real)
    assert pull(f"{real}/colours@1").transferred_bytes > 0
    assert pull(f"{real}/colours@1").transferred_bytes == 0


def test_pull_to_a_folder_replaces_the_model_there(real, tmp_path):
    published(real, 2)
    to = tmp_path / "here"
    assert pull(f"{real}/colours@1", to).folder == to
    assert pull(f"{real}/colours@2", to).folder == to
    assert (to / "unknown.npz").read_bytes() == (bundle(2) / "unknown.npz").read_bytes()
    assert [path.name for path in tmp_path.glob(".here*")] == []


def test_pull_leaves_a_folder_that_is_no_model_alone(real, tmp_path):
    published(real)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(GraftError, match="is not a model"):
        pull(f"{real}/colours", tmp_path / "notes")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("mine", ["notes.txt", ".git/config", "attachments/mine.html", "sub/model.onnx", "model.json",
                                  "link", "model.tflite"])
def test_pull_to_a_folder_keeps_the_users_own_files(tmp_path, monkeypatch, mine):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    where, to = str(tmp_path / "registry"), tmp_path / "here"
    published(where, 2)
    pull(f"{where}/colours@1", to)
    (to / mine).parent.mkdir(exist_ok=True)
    (to / mine).symlink_to(tmp_path) if mine == "link" else (to / mine).write_text("mine")
    before = {path: path.read_bytes() for path in to.rglob("*") if path.is_file()}
    with pytest.raises(GraftError, match=f"here holds files that were added or changed since .*: .*{mine}. Nothing"):
        pull(f"{where}/colours@2", to)
    assert {path: path.read_bytes() for path in to.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.glob(".here*")] == []


@pytest.mark.parametrize("name", ["here", ".here.old", ".here.new"])
def test_pull_to_a_folder_replaces_none_that_it_did_not_write(tmp_path, monkeypatch, name):
    """Not even a bundle that was made here, nor a folder with the name of one of its own."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    where, folder = str(tmp_path / "registry"), tmp_path / name
    published(where)
    shutil.copytree(bundle(), folder)
    (folder / "training.log").write_text("mine")
    with pytest.raises(GraftError, match="is not a model that was pulled|files that Graft did not write: training.log"):
        pull(f"{where}/colours@1", tmp_path / "here")
    assert (folder / "training.log").read_text() == "mine"


def test_pull_to_a_folder_restores_what_is_missing_there(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    where, to = str(tmp_path / "registry"), tmp_path / "here"
    published(where)
    pull(f"{where}/colours@1", to)
    (to / "model.onnx").unlink()
    pull(f"{where}/colours@1", to)
    assert (to / "model.onnx").read_bytes() == (bundle() / "model.onnx").read_bytes()


def test_a_damaged_cache_is_mended(real):
    published(real)
    folder = pull(f"{real}/colours@1").folder
    (folder / "unknown.npz").write_bytes(b"rubbish")
    (folder / "model.json").unlink()
    assert pull(f"{real}/colours@1").transferred_bytes > 0
    for name in ("model.json", "unknown.npz"):
        assert (folder / name).read_bytes() == (bundle() / name).read_bytes()


def test_offline_takes_what_was_pulled(real, monkeypatch):
    published(real, 2)
    promote(f"{real}/colours@1")
    online = pull(f"{real}/colours")
    monkeypatch.setattr("graft.registry.retrieval.open_store", None)        # whoever asks for it fails
    assert pull(f"{real}/colours", offline=True).folder == online.folder
    assert pull(f"{real}/colours@1", offline=True).folder == online.folder
    with pytest.raises(GraftError, match="never pulled"):
        pull(f"{real}/colours@2", offline=True)
    (online.folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(GraftError, match="has changed since it was pulled"):
        pull(f"{real}/colours", offline=True)


def test_publish_again_mends_a_missing_file(real):
    published(real)
    blob = next(key for key in objects(real) if key.startswith("blobs/"))
    overwrite(real, blob, None)
    assert not publish(bundle(), "colours", real).is_new
    assert pull(f"{real}/colours@1").version == 1


def test_a_version_with_a_missing_file_is_not_promoted(real):
    published(real)
    overwrite(real, next(key for key in objects(real) if key.startswith("blobs/")), None)
    with pytest.raises(GraftError, match="missing or have the wrong size: model.json"):
        promote(f"{real}/colours@1")
    assert history(f"{real}/colours") == []


def test_load_takes_a_folder_or_an_address(real, monkeypatch):
    published(real)
    assert graft.load(bundle()).folder == bundle()
    assert graft.load("colours", registry=real).folder.name == "1"
    monkeypatch.setenv("GRAFT_REGISTRY", real)
    assert graft.load("colours@1").class_names == ("blue", "green", "red")


@pytest.mark.parametrize(("model", "expected"), [
    ("digits", Address("registry", "digits")),
    ("digits@champion", Address("registry", "digits", alias="champion")),
    ("digits@12", Address("registry", "digits", number=12)),
    ("s3://bucket/digits@3", Address("s3://bucket", "digits", number=3)),
    ("s3://bucket/a/b/digits", Address("s3://bucket/a/b", "digits")),
    ("/data/models/cats_dogs-2.1@1", Address("/data/models", "cats_dogs-2.1", number=1)),
    ("/digits", Address("/", "digits")),
    ("./digits", Address(".", "digits")),
])
def test_parse(model, expected, monkeypatch):
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    assert parse(model) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize("model", [
    "", "@1", "digits@", "Digits", "digits@@1", "digits@Champion", "-digits", "s3:///digits", "s3://b/digits",
    "s3://user:secret@bucket/digits", "gs://bucket/digits", "https://host/digits", "s3://bucket/../digits", "di gits",
    "s3://bucket//x/digits", "digits@-1", "digits@1.5/", "a" * 65, "..", "digits@..", "s3://bucket",
])
def test_parse_refuses(model):
    with pytest.raises(GraftError) as caught:
        parse(model, "s3://bucket")
    assert "xpected" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("model", ["digits@0", "digits@000"])
def test_version_0_is_not_the_champion(model):
    with pytest.raises(GraftError, match=rf"{model}: there is no version 0. Version numbers begin at 1"):
        parse(model)


def test_an_address_of_version_0_finds_no_version(real):
    published(real)
    promote(f"{real}/colours@1")
    store, address = open_store(real), Address(real, "colours", number=0)
    assert find_number(store, address, log.head(store, "colours")) == 0


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_registry_that_is_not_named_is_no_folder(nothing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraftError, match="no registry is named"):
        publish(bundle(), "colours", nothing)
    assert not list(tmp_path.iterdir())


def test_a_file_that_changes_while_it_is_published_is_refused(real, tmp_path, monkeypatch):
    report = tmp_path / "report.html"
    report.write_text("first")
    check = publication.check_promises
    monkeypatch.setattr(publication, "check_promises", lambda store: (check(store), report.write_text("other")))
    with pytest.raises(GraftError, match="changed during publishing"):
        publish(bundle(), "colours", real, attachments={"report.html": report})
    assert not [key for key, data in objects(real).items() if data == b"other" or key.startswith("models/")]


DEEP = functools.reduce(lambda inner, _: [inner], range(200), [])


@pytest.mark.parametrize("facts", [{"accuracy": float("nan")}, {"path": Path("x")}, {1, 2}, {"large": "x" * 5_000_000},
                                   {"number": 2**70}, {"deep": DEEP}, {"text": "\ud800"}],
                         ids=["NaN", "path", "set", "large", "number", "deep", "surrogate"])
def test_facts_that_cannot_be_stored_are_refused_before_anything_is(tmp_path, facts):
    with pytest.raises(GraftError, match="facts"):
        publish(bundle(), "colours", str(tmp_path / "registry"), facts=facts)
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize("name", ["../report.html", "a/b", ".hidden", "manifest.json", "CON", ""])
def test_attachments_need_plain_names(tmp_path, name):
    with pytest.raises(GraftError, match="plain file name"):
        publish(bundle(), "colours", str(tmp_path / "registry"), attachments={name: Path(__file__)})
    assert not (tmp_path / "registry").exists()


def test_files_that_make_no_version_are_refused_before_anything_is(tmp_path):
    for names, words in ((["a.html", "A.html"], "in case alone"), (map(str, range(100)), "103 files, at most 100")):
        with pytest.raises(GraftError, match=words):
            publish(bundle(), "colours", str(tmp_path / "registry"), attachments=dict.fromkeys(names, Path(__file__)))
    assert not (tmp_path / "registry").exists()


def test_what_could_not_be_read_again_is_not_written_to_the_log(tmp_path):
    address = publish(bundle(), "colours", str(tmp_path / "registry")).address
    for change in ({"reason": None}, {"by": 7}, {"gate": {"n": 2**70}}):
        with pytest.raises(GraftError, match="cannot be (written to the log|stored)"):
            promote(address, **change)
    assert promote(address, reason="good").number == 1


def test_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    publish(bundle(), "colours", str(tmp_path / "registry"))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(GraftError, match="Set GRAFT_HOME to use another folder"):
        pull(f"{tmp_path}/registry/colours")


def test_a_memory_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    publish(bundle(), "colours", str(tmp_path / "registry"))
    pull(f"{tmp_path}/registry/colours")
    [seen] = (tmp_path / "home").rglob("seen.json")
    for rubbish in ("", "[]", "{}", '{"last": 1}', "\xff"):
        seen.write_text(rubbish, encoding="latin-1")
        with pytest.raises(GraftError, match="seen.json cannot be read"):
            pull(f"{tmp_path}/registry/colours")


def test_a_pull_touches_nothing_that_is_right_already(real):
    published(real)
    folder = pull(f"{real}/colours@1").folder
    before = {path.name: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]}
    pull(f"{real}/colours@1")
    assert {path.name: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]} == before
