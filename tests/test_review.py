"""The review: its queue, what it takes and refuses, and three conflicting pairs from the stopped run to a green one."""

import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from intake_images import jpeg, picture, write_classes
from live_server import serving
from PIL import Image
from test_validate import message, set_params

from benchmarks import browser
from graft.errors import GraftError
from pipeline.code import ROOT
from pipeline.evaluation.predictions import Answers
from pipeline.intake.decisions import read_decisions
from pipeline.review.app import PREVIEW_PX, create_app
from pipeline.review.queue import Finding, Picture, of_answers
from tasks import review, validate

SCREENSHOTS = os.environ.get("GRAFT_SCREENSHOTS")       # a folder, to look at them
TABLE = Path("images.decisions.csv")
DRAWN = ("document.querySelector('canvas') && "
         "[...document.querySelectorAll('canvas')].every((each) => each.width !== 300)")        # a new canvas's width
SIZES = {"desk": (1280, 900, False), "phone": (390, 844, True)}


def sha256(path: str) -> str:
    return hashlib.sha256(Path("images", path).read_bytes()).hexdigest()


def decided() -> dict[str, str]:
    return {each.path: each.decision for each in read_decisions(TABLE).values()}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A stopped run: three near-duplicates under two labels."""
    folder = tmp_path_factory.mktemp("stopped")
    write_classes(folder / "images", {"cat": 12, "dog": 10})
    for number in range(3):
        (folder / f"images/dog/near{number}.jpg").write_bytes(jpeg(picture(number + 1), quality=40))
    with contextlib.chdir(folder):
        set_params()
        text = message()
    assert "3 pictures under different labels, in near-duplicates" in text and "`python -m tasks.review`" in text
    return folder


@pytest.fixture(scope="module")
def stopped_by_more(stopped, tmp_path_factory):
    """Also a conflict, a broken file, copies, and a picture that is larger than the page shows it."""
    folder = shutil.copytree(stopped, tmp_path_factory.mktemp("more"), dirs_exist_ok=True)
    (folder / "images/cat/same.jpg").write_bytes((folder / "images/dog/7.jpg").read_bytes())
    (folder / "images/dog/cut.jpg").write_bytes(jpeg(picture(99))[:1500])
    (folder / "images/cat/again.jpg").write_bytes((folder / "images/cat/9.jpg").read_bytes())
    (folder / "images/cat/large.jpg").write_bytes(jpeg(picture(11).resize((1600, 1200))))      # of cat/10.jpg
    with contextlib.chdir(folder):
        message()
    return folder


@pytest.fixture
def project(stopped, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(stopped, tmp_path / "copy"))


@pytest.fixture
def more(stopped_by_more, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(stopped_by_more, tmp_path / "copy"))


@pytest.fixture(scope="module")
def tab():
    if browser.executable() is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with browser.tab() as opened:
        yield opened


def press(tab, key: str, code: str = "", shift: bool = False) -> None:
    for kind in ("keyDown", "keyUp"):
        tab.send("Input.dispatchKeyEvent", type=kind, key=key, code=code, modifiers=8 * shift,
                 **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}))


def open_page(tab, client, size: str = "desk") -> None:
    tab.open(f"{client.base_url}/token/", *SIZES[size])
    tab.wait_for(DRAWN)


def wait_for_count(tab, text: str) -> None:
    tab.wait_for(f"document.querySelector('#count').textContent === '{text}'")


def test_three_conflicting_pairs_take_three_keys_and_a_run(tab, project, capsys):
    with serving(create_app(review.collect(), "token")) as client:
        open_page(tab, client)
        wait_for_count(tab, "0 of 3")
        press(tab, "k")
        wait_for_count(tab, "1 of 3")
        assert decided() == {"cat/0.jpg": "keep", "dog/near0.jpg": "keep"}      # on the disk before the next one shows
        press(tab, "1", "Digit1")
        wait_for_count(tab, "2 of 3")
        press(tab, "!", "Digit1", shift=True)
        tab.wait_for("document.querySelector('#says').textContent === 'Nothing is open'")
        assert tab.run("document.querySelector('#open').textContent") == "Nothing that may stop the run is open"
        commands = tab.run("document.querySelector('#commands').textContent").splitlines()
        assert tab.complaints == []
        assert all(each.startswith((str(client.base_url), "data:")) for each in tab.requests)
    assert commands == ["git add images.decisions.csv", "git commit --message 'Review images'",
                        "python -m flows.training"]
    assert decided() == {"cat/0.jpg": "keep", "dog/near0.jpg": "keep", "cat/1.jpg": "keep",
                         "dog/near1.jpg": "label=cat", "cat/2.jpg": "keep", "dog/near2.jpg": "drop"}
    rows = read_decisions(TABLE).values()
    assert {each.reason for each in rows if each.path.startswith("dog")} == {
        f"near-duplicates with different labels: cat/{n}.jpg (cat) = dog/near{n}.jpg (dog)"
        for n in range(3)}
    assert all(each.by and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each.at) for each in rows)
    validate.main()
    assert "decisions applied: 4 keep, 1 drop, 1 label" in capsys.readouterr().out


def test_undo_filters_and_another_label(tab, more):
    with serving(create_app(review.collect(), "token")) as client:
        open_page(tab, client)
        wait_for_count(tab, "0 of 7")
        assert tab.run("[...document.querySelectorAll('#kind option')].map((each) => each.value)") == [
            "", "conflicts", "near_copies", "unreadable", "copies"]
        press(tab, "k")         # is no answer to the same bytes under two labels
        press(tab, "2", "Digit2")
        wait_for_count(tab, "1 of 7")
        press(tab, "u")
        wait_for_count(tab, "0 of 7")
        assert decided() == {}
        tab.run("document.querySelector('#kind').value = 'unreadable'")
        tab.run("document.querySelector('#kind').dispatchEvent(new Event('change'))")
        wait_for_count(tab, "0 of 1")
        press(tab, "Enter")
        tab.wait_for("document.querySelector('#says').textContent.startsWith('Nothing is open here; 6')")
        assert decided() == {"dog/cut.jpg": "drop"}
        tab.run("document.querySelector('#kind').value = 'near_copies'")
        tab.run("document.querySelector('#kind').dispatchEvent(new Event('change'))")
        press(tab, "l")
        tab.run("document.querySelector('#label').value = 'dog'")
        tab.run("document.querySelector('#other').requestSubmit()")
        wait_for_count(tab, "1 of 3")
        assert decided() == {"dog/cut.jpg": "drop", "cat/0.jpg": "label=dog", "dog/near0.jpg": "keep"}


def test_a_second_browser_sees_what_the_first_has_decided(tab, project):
    """It writes nothing over it; the next key, which is pressed knowing it, does."""
    with serving(create_app(review.collect(), "token")) as client:
        open_page(tab, client)
        first = client.get("/token/queue").json()["findings"][0]
        post(client, first, "k")
        press(tab, "d")
        tab.wait_for("document.querySelector('#message').textContent.includes('meanwhile: keep.')")
        assert set(decided().values()) == {"keep"}
        press(tab, "d")
        tab.wait_for("document.querySelector('#pictures').textContent.includes('cat/1.jpg')")
        assert set(decided().values()) == {"drop"}


@pytest.mark.parametrize("size, scheme", [("desk", "light"), ("phone", "dark")])
def test_the_page_fits_the_screen(tab, more, size, scheme):
    with serving(create_app(review.collect(), "token")) as client:
        tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        open_page(tab, client, size)
        press(tab, "s")
        tab.wait_for("document.querySelectorAll('canvas').length === 2")
        tab.wait_for(DRAWN)
        if SCREENSHOTS:
            tab.screenshot(Path(SCREENSHOTS, f"review-{size}-{scheme}.png"))
        assert tab.run("document.documentElement.scrollWidth <= window.innerWidth"), "the page is wider than the screen"
        assert tab.run("document.documentElement.scrollHeight <= 1.6 * window.innerHeight")


def chosen(finding: dict, key: str) -> dict[str, str]:
    digests = dict.fromkeys(each["sha256"] for each in finding["pictures"])
    return dict(zip(digests, finding["choices"][key]["decisions"], strict=True))


def post(client, finding: dict, key: str, **changes) -> httpx.Response:
    decisions = chosen(finding, key)
    return client.post("/token/decisions", **{"json": {"id": finding["id"], "decisions": decisions, "expected": {}}}
                       | changes)


def test_only_its_own_page_may_decide_and_only_on_what_is_asked(more):
    with serving(create_app(review.collect(), "token")) as client:
        conflict, near, *_ = client.get("/token/queue").json()["findings"]
        body = {"id": near["id"], "decisions": chosen(near, "k"), "expected": {}}
        assert client.get("/").status_code == 404 and client.post("/decisions", json=body).status_code == 404
        assert post(client, near, "k", headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get("/token/", headers={"Host": "evil.example"}).status_code == 421
        form = {"content": str(body).replace("'", '"'), "headers": {"Content-Type": "text/plain"}}
        assert client.post("/token/decisions", **form).status_code in (415, 422)
        for wrong in ({"id": "none"}, {"decisions": chosen(conflict, "d")},
                      {"decisions": dict.fromkeys(body["decisions"], "label=lion")},
                      {"decisions": dict.fromkeys(body["decisions"], "delete")}):
            assert client.post("/token/decisions", json=body | wrong).status_code in (404, 422)
        assert not TABLE.exists()
        assert post(client, near, "k", headers={"Origin": str(client.base_url)}).status_code == 200
        assert post(client, near, "d").status_code == 409
        assert client.get(f"/token/pictures/{'0' * 64}").status_code == 404
        assert client.get("/token/pictures/..%2F..%2Fparams.yaml").status_code in (404, 422)
    assert set(decided().values()) == {"keep"}


def test_a_picture_is_made_smaller_and_what_remains_of_a_broken_one_is_shown(more):
    with serving(create_app(review.collect(), "token")) as client:
        large, cut = (client.get(f"/token/pictures/{sha256(path)}") for path in ("cat/large.jpg", "dog/cut.jpg"))
    assert Image.open(io.BytesIO(large.content)).size == (PREVIEW_PX, PREVIEW_PX * 3 // 4)
    assert cut.status_code == 200 and Image.open(io.BytesIO(cut.content)).format == "JPEG"


def test_the_queue_without_a_browser_and_what_is_proposed_for_a_whole_kind(more):
    listed = review.listed(review.collect())
    assert "conflicts: cat/same.jpg (cat) = dog/7.jpg (dog); 160 × 120 JPEG; proposed: only you can tell" in listed
    assert any(each.startswith("unreadable: dog/cut.jpg; truncated") for each in listed)
    assert listed[-1] == "7 of 7 findings are open; 1 conflicts; 3 near_copies; 1 unreadable; 2 copies"
    done = subprocess.run([sys.executable, "-m", "tasks.review", "--accept", "copies"], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert "2 decided as proposed, in images.decisions.csv" in done.stdout, done.stderr
    assert decided() == {"cat/9.jpg": "keep", "cat/10.jpg": "drop", "cat/large.jpg": "keep"}
    now = review.collect()
    assert review.listed(now)[-1] == "5 of 7 findings are open; 1 conflicts; 3 near_copies; 1 unreadable"
    with pytest.raises(GraftError, match="nothing is proposed. Expected one of unreadable"):
        review.accept(now, "conflicts")


def test_the_command_prints_its_address_and_a_kill_loses_no_decision(project):
    server = subprocess.Popen([sys.executable, "-m", "tasks.review", "--port", "0"], stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONPATH": str(ROOT)})
    printed = [server.stdout.readline() for _ in range(5)]
    assert printed[1:4] == ["  git add images.decisions.csv\n", "  git commit --message 'Review images'\n",
                            "  python -m flows.training\n"]
    address = re.fullmatch(r"3 findings to decide on at (http://127\.0\.0\.1:\d+/[\w-]{20,}/) .*\n", printed[4])[1]
    with httpx.Client(base_url=address, trust_env=False) as client:
        first = client.get("queue").json()["findings"][0]
        body = {"id": first["id"], "decisions": chosen(first, "k"), "expected": {}}
        assert client.post("decisions", json=body).status_code == 200
    server.kill()
    server.communicate()
    assert set(decided().values()) == {"keep"}


def test_without_findings_the_command_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("data: {images: images}")
    with pytest.raises(GraftError, match="run `dvc repro validate` first"):
        review.collect()


def test_answers_become_findings_unless_the_image_is_gone_or_relabelled():
    """Two classes; of the images of class a, one is surely taken for b, one hardly, and one is unknown."""
    sure = np.array([0.9, 0.9, 0.9, 0.02, 0.45, 0.9, 0.1, 0.1, 0.1, 0.05])
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 0])
    paths = np.array([f"{n}.jpg" for n in range(10)])
    probabilities = np.stack([sure, 1 - sure], axis=1)
    answers = Answers(["a", "b"], paths, labels, probabilities.argmax(axis=1), probabilities,
                      np.arange(10.0), np.arange(10) == 5)
    images = pd.DataFrame({"path": paths[:9], "sha256": [f"{n:064x}" for n in range(9)],
                           "label": ["ab"[each] for each in labels[:9]]})
    found = {(each.kind, each.pictures[0].path): each for each in of_answers(answers, images)}
    assert list(found) == [("suspects", "3.jpg"), ("mistakes", "4.jpg"), ("outliers", "5.jpg")]
    suspect = found["suspects", "3.jpg"]
    assert suspect.proposal == {f"{3:064x}": "label=b"} and suspect.pictures[0].note == "taken for b, 98.0%"
    assert {key: says for key, (says, _) in suspect.choices().items()} == {"k": "keep", "1": "it is b", "d": "drop"}


@pytest.mark.parametrize("kind, decisions, is_settled", [
    ("near_copies", ["keep", ""], False), ("near_copies", ["keep", "keep"], True),
    ("near_copies", ["drop", "label=a"], True), ("conflicts", ["keep", "keep"], False),
    ("unreadable", ["keep", "label=a"], False), ("unreadable", ["drop"] * 2, True),
])
def test_a_finding_is_settled_once_all_its_images_have_an_answer(kind, decisions, is_settled):
    finding = Finding(kind, (Picture("a/1", "1", "a"), Picture("b/2", "2", "b")))
    assert finding.is_settled(dict(zip("12", decisions))) == is_settled
