"""Collected pictures in the review: fetched, put in order, shown in a browser, and copied into the data set or not."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import s3_server
from collected_pictures import PURPLE, collect, make_project, some_pictures, tinted
from full_disk import full_disk
from intake_images import jpeg, picture
from live_server import serving
from test_review import SCREENSHOTS, chosen, open_page, post, press, tab, wait_for_count  # noqa: F401

from graft.errors import GraftError
from graft.model import unknown
from graft.model.classifier import Prediction
from graft.watch.collected import fetch
from pipeline.code import ROOT
from pipeline.intake.decisions import read_decisions
from pipeline.intake.fingerprint import take_fingerprint
from pipeline.review.app import create_app
from pipeline.review.collected import Seen, of_collected
from tasks import artifacts, review, validate

TABLE = Path("images.decisions.csv")


def decided() -> dict[str, str]:
    return {key: each.decision for key, each in read_decisions(TABLE).items()}


def copies() -> set[str]:
    """The images that came from the inbox, relative to the folder."""
    return {path.relative_to("images").as_posix() for path in Path("images").rglob("*.*") if len(path.stem) == 64}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project, a place with the pictures of `some_pictures`, and their sha256."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_project(folder)
        shas = collect(Path("kept"), some_pictures())
        review.collect("kept")          # fills the cache
    return folder, shas


@pytest.fixture
def inbox(made, tmp_path, monkeypatch):
    """A copy of it, to be changed; the pictures' sha256."""
    monkeypatch.chdir(shutil.copytree(made[0], tmp_path / "copy", dirs_exist_ok=True))
    return made[1]


@pytest.fixture(scope="module")
def reviewed(made):
    """The queue of the project, to be read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made[0])
        yield review.collect("kept")


def test_the_queue_shows_the_new_class_then_the_most_useful_then_what_is_there(made, reviewed):
    new, near, between, copy = made[1][:5], made[1][5], made[1][6:8], made[1][8]
    alike, *singles, known = reviewed.findings
    assert alike.title == "5 pictures look alike: a new class?" and set(alike.sha256s) == set(new)
    assert {copy for each in alike.pictures for copy in each.copies} == {near}
    assert {each.kind for each in singles} == {"collected"} and {each.sha256s[0] for each in singles} == set(between)
    assert set(singles[0].labels[:2]) == {"blue", "green"}
    assert known.proposal == {copy: "drop"} and known.pictures[0].note.startswith("a copy of blue/3.jpg (blue); blue")
    assert alike.pictures[0].note.endswith("colours@3, 2026-05-01 12:00")
    lines = review.listed(reviewed)
    assert lines[-1] == "4 of 4 findings are open; 1 alike; 2 collected; 1 known"
    assert reviewed.commands == ["dvc add images", "git add images.dvc images.decisions.csv",
                                 "git commit --message 'Review images'", "python -m flows.training"]


def test_what_was_labelled_since_the_training_makes_its_like_less_useful():
    """Four pictures of which the model is equally unsure, at the corners of a square of features."""
    corners = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
    answer = Prediction("a", {"a": 0.5, "b": 0.5}, 1.0, False)
    seen = [Seen(f"{number}.jpg", "", take_fingerprint(jpeg(picture(number))), answer, corner)
            for number, corner in enumerate(corners)]
    for corner in range(4):
        means = np.full((1, 4), 0.5, np.float32)        # as far from one corner as from another
        found = of_collected(seen, {}, np.concatenate([means, corners[corner:corner + 1]]), 0.1)
        assert [each.pictures[0].path for each in found][-1] == f"{corner}.jpg"


def test_a_group_becomes_a_new_class_by_keys_and_undo_takes_it_back(tab, inbox):      # noqa: F811
    with serving(create_app(review.collect("kept"), "token")) as client:
        open_page(tab, client)
        if SCREENSHOTS:
            tab.screenshot(Path(SCREENSHOTS, "collected.png"))
        tab.run("document.querySelectorAll('#pictures figure')[1].click()")         # left out
        name_class(tab, "purple")
        tab.wait_for("document.querySelectorAll('#pictures figure').length === 1")
        assert sorted(decided().values()) == ["drop"] + ["label=purple"] * 4        # of the near-copy, or of four
        assert copies() == {f"purple/{key}.jpg" for key, each in decided().items() if each == "label=purple"}
        press(tab, "u")
        tab.wait_for("document.querySelectorAll('#pictures figure').length === 5")
        assert decided() == {} and copies() == set() and not Path("images/purple").exists()
        name_class(tab, "purple")
        wait_for_count(tab, "1 of 4")
        assert tab.run("document.querySelector('#choices').textContent").startswith("1it is ") and tab.run(
            "document.querySelector('#choices').textContent.includes('4it is purple')")     # three known ones before it
        press(tab, "1", "Digit1")
        wait_for_count(tab, "2 of 4")
        press(tab, "d")
        wait_for_count(tab, "3 of 4")
        press(tab, "Enter")
        tab.wait_for("document.querySelector('#says').textContent === 'Nothing is open'")
        assert tab.run("document.querySelector('#commands').textContent").startswith("dvc add images\ngit add ")
        assert tab.complaints == []
    counts = Counter(decided().values())
    assert counts["drop"] == 3 and counts["label=purple"] == 5 and counts["label=blue"] + counts["label=green"] == 1
    rows = read_decisions(TABLE).values()
    assert {each.path for each in rows} == copies() | {""} and len(copies()) == 6
    assert all(each.reason.startswith("collected in kept: ") for each in rows)
    again = review.collect("kept")
    assert again.findings == [] and "purple" in again.class_names
    validate.main()
    assert set(artifacts.read_json(artifacts.DATA_FINDINGS)["classes"]) == {"blue", "green", "purple", "red"}
    assert artifacts.read_json(artifacts.DATA_FINDINGS)["decisions"]["gone"] == []


def name_class(tab, name: str) -> None:         # noqa: F811
    """Give what is shown a class that does not exist yet, by the keyboard alone."""
    press(tab, "l")
    tab.send("Input.insertText", text=name)
    press(tab, "Enter")
    if tab.run("document.querySelector('#message').textContent.includes('Once more Enter makes it one')"):
        press(tab, "Enter")


def test_a_class_that_cannot_be_one_and_keep_are_refused(inbox):
    with serving(create_app(review.collect("kept"), "token")) as client:
        alike = client.get("/token/queue").json()["findings"][0]
        for wrong, words in (("label=../x", "a class is a folder"), ("label=BLUE", "only in upper and lower case"),
                             ("keep", "gets a class or is dropped"), ("label=", "a class is a folder")):
            answer = client.post("/token/decisions", json={
                "id": alike["id"], "decisions": {alike["pictures"][0]["sha256"]: wrong}, "expected": {}})
            assert answer.status_code == 422 and words in answer.json()["detail"]
        picture = client.get(f"/token/pictures/{alike['pictures'][0]['sha256']}")
        assert picture.status_code == 200 and picture.content.startswith(b"\xff\xd8")
    assert decided() == {} and copies() == set()


def test_two_reviewers_at_once_lose_nothing(inbox):
    first, second = review.collect("kept"), review.collect("kept")
    alike, single = first.findings[:2]
    one, *others = alike.sha256s
    assert first.decide(alike, {one: "label=purple"}, {}) == {}
    assert second.decide(alike, {one: "label=violet", others[0]: "label=violet"}, {}) == {one: "label=purple"}
    assert copies() == {f"purple/{one}.jpg"}
    assert second.decide(single, {single.sha256s[0]: "label=red"}, {}) == {}
    assert second.decide(alike, {one: "label=violet"}, {one: "label=purple"}) == {}
    assert copies() == {f"violet/{one}.jpg", f"red/{single.sha256s[0]}.jpg"}


def test_a_full_disk_writes_nothing_and_is_said(inbox):
    with serving(create_app(review.collect("kept"), "token")) as client:
        alike = client.get("/token/queue").json()["findings"][0]
        body = {"id": alike["id"], "decisions": {alike["pictures"][0]["sha256"]: "label=purple"}, "expected": {}}
        with full_disk(600):
            answer = client.post("/token/decisions", json=body)
        assert answer.status_code == 500 and "File too large" in answer.json()["detail"]
        assert decided() == {} and copies() == set()
        assert client.post("/token/decisions", json=body).status_code == 200
    assert len(copies()) == 1


def test_a_kill_between_the_copy_and_the_table_is_asked_about_again(inbox):
    shutil.copy(f"kept/{inbox[6]}.jpg", "images/green")         # a new start finds it in its class, without a decision
    [found] = [each for each in review.collect("kept").findings if inbox[6] in each.sha256s]
    assert found.kind == "known" and found.proposal == {inbox[6]: "label=green"}
    shutil.copy(f"kept/{inbox[0]}.jpg", "images/red/mine.jpg")      # the same bytes under a name of the user's
    shutil.copy(f"kept/{inbox[1]}.jpg", "images/red")
    table = artifacts.IMAGES.read_text().splitlines()
    artifacts.IMAGES.write_text("\n".join([*table, table[-1].replace(table[-1].split(",")[2], inbox[1])]) + "\n")
    again = review.collect("kept")
    asked = {key for each in again.findings for key in each.sha256s}
    assert not {*inbox[:2]} & asked, "to drop it would drop an image of the data set"
    assert again.decide(found, {inbox[6]: "drop"}, {}) == {} and copies() == {f"red/{inbox[1]}.jpg"}


def test_what_is_proposed_is_taken_without_a_browser(inbox):
    done = subprocess.run([sys.executable, "-m", "tasks.review", "--inbox", "kept", "--accept", "known"], text=True,
                          capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert "1 decided as proposed" in done.stdout and "  dvc add images\n" in done.stdout, done.stderr
    assert decided() == {inbox[8]: "drop"} and copies() == set()
    done = subprocess.run([sys.executable, "-m", "tasks.review", "--inbox", "kept", "--list"], text=True,
                          capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert "\n3 of 3 findings are open; 1 alike; 2 collected\n" in done.stdout
    assert done.stdout.endswith("\n  dvc add images\n  git add images.dvc images.decisions.csv\n"
                                "  git commit --message 'Review images'\n  python -m flows.training\n")


def test_what_no_collection_wrote_is_left_out_and_named(inbox, capsys):
    place, data = Path("kept"), jpeg(tinted(700, PURPLE))
    (place / "notes.txt").write_text("hello")
    (place / "..\x1b[31m.jpg").write_bytes(data)
    (place / f"{'0' * 64}.jpg").write_bytes(data)                       # another hash
    (place / f"{hashlib.sha256(b'no').hexdigest()}.png").write_bytes(b"no")
    (place / "colours/000001").mkdir(parents=True)
    (place / "colours/000001/20260501T120000Z-00000000.json").write_bytes(b"{}")       # figures, by `--log`
    os.mkfifo(place / f"{'1' * 64}.jpg")
    with open(place / f"{'2' * 64}.jpg", "wb") as file:
        file.truncate(100_000_001)
    about = place / f"{inbox[6]}.json"
    about.write_bytes(b'{"model": ["x"], "time": 7}')
    shutil.rmtree(".graft/inbox")
    found = review.collect("kept")
    said = capsys.readouterr().out
    assert said.startswith("left out 6 of the files in kept: ") and "\x1b" not in said
    for words in ("notes.txt (no name that a collection gives)", "not those of which its name is the hash",
                  "no file, but a pipe", "larger than 100 MB", "\\x1b[31m.jpg"):
        assert words in said
    assert sum(len(each.sha256s) for each in found.findings) == 8
    [odd] = [each for each in found.findings if inbox[6] in each.sha256s]
    assert not odd.pictures[0].note.endswith("12:00")
    shutil.rmtree("kept")                                               # what was fetched can still be decided on
    assert found.decide(odd, {inbox[6]: "label=green"}, {}) == {} and copies() == {f"green/{inbox[6]}.jpg"}


def test_a_place_without_pictures_or_a_data_set_that_dvc_imports_is_an_error(inbox, tmp_path):
    for place, words in ((str(tmp_path / "nowhere"), "holds no collected picture"), ("ftp://x", "'ftp' is not")):
        with pytest.raises(GraftError, match=words):
            review.collect(place)
    Path("images.dvc").write_text("deps:\n- path: elsewhere\nouts:\n- path: images\n")
    with pytest.raises(GraftError, match="is imported by DVC"):
        review.collect("kept")
    Path("images.dvc").unlink()
    shutil.rmtree(artifacts.BUNDLE)
    with pytest.raises(GraftError, match="holds no model"):
        review.collect("kept")


def test_pictures_are_fetched_from_s3_once(made, tmp_path, monkeypatch):
    place = s3_server.use(monkeypatch, s3_server.moto())
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    for path in Path(made[0], "kept").glob("[0-9a-f]*"):
        s3_server.client().put_object(Bucket=bucket, Key=f"{prefix}/{path.name}", Body=path.read_bytes())
    found = fetch(place, tmp_path, {made[1][0]})
    assert set(found.files) == set(made[1][1:]) and found.others == {}
    assert all((tmp_path / name).is_file() for name in found.files.values())
    key = f"{prefix}/{made[1][1]}.jpg"
    s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"changed")
    assert fetch(place, tmp_path, set()).others == {}


def test_the_spread_of_a_class_is_how_far_two_of_its_images_are_apart():
    """Against pairs drawn from the distribution that the reference describes, before scaling to length 1."""
    rng = np.random.default_rng(1)
    units = 40
    reference = unknown.Reference(np.zeros((2, units)), np.eye(units)[:, :3], np.array([4.0, 2.0, 1.0]),
                                  np.array(0.1), np.array(1.0))
    scales = np.sqrt(np.r_[4.0, 2.0, 1.0, np.full(units - 3, 0.1)])
    first, second = (rng.normal(0, 1, (20_000, units)) * scales for _ in range(2))
    assert unknown.spread(reference) == pytest.approx(np.sqrt(((first - second) ** 2).sum(axis=1).mean()), rel=0.01)
