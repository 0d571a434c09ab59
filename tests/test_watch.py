"""What is kept of answers, and what `graft watch` finds in it."""

import json
import re
from datetime import timedelta

import numpy as np
import pytest
from watched import NOON, draw, log, publish

from graft import registry
from graft.cli import main as cli
from graft.errors import GraftError
from graft.store import LocalStore, StoreError
from graft.watch import windows
from graft.watch.comparison import DRIFTED, FEW, QUIET, STEADY, watch
from graft.watch.figures import BINS, Figures, added, bins_of, middles
from graft.watch.page import as_text, make_page
from graft.watch.reference import fetch_reference
from graft.watch.windows import Windows, decode, newest


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module", autouse=True)
def home(where):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFT_HOME", str(where / "home"))
        yield


@pytest.fixture(scope="module")
def classifier(where, home):
    return publish(where, str(where / "registry"))


def found(where, place, now=NOON + timedelta(hours=1), model="colours"):
    return watch(model, str(place), str(where / "registry"), now)


def test_a_probability_is_counted_in_a_bin_around_it_and_nothing_is_lost_at_the_ends():
    shares = np.array([0.0, 1e-12, 1e-5, 0.3, 0.5, 0.9, 1 - 1e-9, 1.0])
    bins = bins_of(shares)
    assert bins[0] == bins[1] == 0 and bins[-1] == BINS - 1
    odds = np.log(middles() / (1 - middles()))
    assert np.abs(odds[bins[2:6]] - np.log(shares[2:6] / (1 - shares[2:6]))).max() <= 0.125 + 1e-9


def test_figures_count_what_the_answers_say(classifier):
    answers = classifier.predict_batch(draw(300, seed=5)[0])
    whole, halves = Figures.none(classifier.class_names), [Figures.none(classifier.class_names) for _ in range(2)]
    for number, each in enumerate(answers):
        whole.add(each)
        halves[number % 2].add(each)
    known = [each for each in answers if not each.is_unknown]
    assert (whole.images, whole.unknown, whole.known) == (300, 300 - len(known), len(known))
    assert dict(zip(whole.class_names, whole.answers)) == {
        name: sum(each.label == name for each in known) for name in classifier.class_names}
    means = whole.probabilities @ middles() / 300
    assert means == pytest.approx([np.mean([each.probabilities[name] for each in answers])
                                   for name in classifier.class_names], abs=0.005)
    assert all((getattr(added(halves), name) == getattr(whole, name)).all() for name in Figures.shapes(3))


def test_a_window_is_written_when_it_is_full_or_old_and_read_back_as_it_was(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "MOST_IMAGES", 40)
    told, clock = [], [NOON]
    log = Windows(LocalStore(tmp_path), lambda *each: told.append(each), lambda: clock[0])
    for each in classifier.predict_batch(draw(90, seed=6)[0]):
        log.add("colours@1", classifier.class_names, each)
    assert told == [("window", "written", None)] * 2
    log.close_old()
    clock[0] += timedelta(minutes=31)
    log.close_old()
    read = list(newest(LocalStore(tmp_path), "colours"))
    assert [each.figures.images for each in read] == [10, 40, 40]
    assert read[0].ended - read[0].began == timedelta(minutes=31)
    again = decode(read[0].encode(), "here")
    assert again.encode() == read[0].encode() and again.model == "colours@1"


def test_a_place_that_is_gone_loses_its_windows_and_says_so(classifier, tmp_path):
    told = []
    (tmp_path / "place").write_text("a file where the folder should be")
    log = Windows(LocalStore(tmp_path / "place"), lambda *each: told.append(each))
    log.add("colours@1", classifier.class_names, classifier.predict_batch(draw(1, seed=1)[0])[0])
    log.close()
    [(what, outcome, error)] = told
    assert (what, outcome) == ("window", "lost") and isinstance(error, StoreError | windows.Missing)


@pytest.mark.parametrize("change", [
    {"images": 7}, {"answers": [1, 2]}, {"answers": [0, 0, -1]}, {"probabilities": [[1] * BINS] * 3}, {"began": "noon"},
    {"confidences": None}, {"format": 2}, {"more": 1}, {"class_names": "abc"}, {"unknown": 10**30}])
def test_what_is_no_window_is_refused_with_all_that_is_wrong(classifier, tmp_path, change):
    log(tmp_path, classifier.predict_batch(draw(5, seed=1)[0]), classifier)
    [window] = newest(LocalStore(tmp_path), "colours")
    with pytest.raises(GraftError, match="here is no window: "):
        decode(json.dumps(json.loads(window.encode()) | change).encode(), "here")


def test_a_window_that_names_another_model_is_refused(where, classifier, tmp_path):
    log(tmp_path, classifier.predict_batch(draw(5, seed=1)[0]), classifier)
    [path] = (tmp_path / "colours/000001").iterdir()
    path.write_text(path.read_text().replace("colours@1", "../../x@1"))
    with pytest.raises(GraftError, match="is no window of colours@1: it names '../../x@1'"):
        found(where, tmp_path)


def test_a_window_that_counts_other_classes_is_refused(where, classifier, tmp_path):
    for change in (("red", "red"), ("red", "rot")):
        log(tmp_path, classifier.predict_batch(draw(200, seed=1)[0]), classifier)
        for path in (tmp_path / "colours/000001").iterdir():
            path.write_text(path.read_text().replace(*change))
    with pytest.raises(GraftError, match="count other classes"):
        found(where, tmp_path)


def test_the_reference_is_that_of_the_published_predictions(classifier, where):
    reference = fetch_reference("colours", str(where / "registry"))
    pictures, labels = draw(400, seed=1)
    answers = classifier.predict_batch(pictures)
    right = sum(each.label == label for each, label in zip(answers, labels) if not each.is_unknown)
    assert reference.figures.images == 400 and reference.right.sum() == right
    assert reference.figures.unknown == sum(each.is_unknown for each in answers)


def test_a_version_without_predictions_is_named(where, classifier, tmp_path):
    registry.publish(where / "bundle", "plain", str(where / "registry"))
    log(tmp_path, classifier.predict_batch(draw(5, seed=1)[0]), classifier, model="plain@1")
    with pytest.raises(GraftError, match="plain@1 carries no predictions.csv"):
        found(where, tmp_path, model="plain")


@pytest.mark.parametrize("traffic, verdict, words", [
    ({}, STEADY, None),
    ({"shift": (60, 0, 0)}, DRIFTED, "less like the training images"),
    ({"shares": (1, 1, 4)}, DRIFTED, "red is 6"),
])
def test_what_has_changed_is_said_in_words(where, classifier, tmp_path, traffic, verdict, words):
    pictures, labels = draw(1000, seed=7, **traffic)
    answers = classifier.predict_batch(pictures)
    log(tmp_path, answers, classifier)
    comparison = found(where, tmp_path)
    assert comparison.verdict == verdict and comparison.images == 1000
    assert words is None or words in " ".join(comparison.changes)
    known = [each.label == label for each, label in zip(answers, labels) if not each.is_unknown]
    assert comparison.accuracy.low <= np.mean(known) <= comparison.accuracy.high
    assert f"colours@1: {verdict}" in as_text(comparison) and verdict in make_page(comparison)


def test_little_traffic_and_a_quiet_model_are_said_as_such(where, classifier, tmp_path):
    assert found(where, tmp_path).verdict == QUIET
    log(tmp_path, classifier.predict_batch(draw(99, seed=1)[0]), classifier)
    few = found(where, tmp_path)
    assert few.verdict == FEW and "99 images" in few.changes[0] and few.accuracy is None
    late = found(where, tmp_path, now=NOON + timedelta(days=8))
    assert late.verdict == QUIET and "2026-05-01" in late.changes[0]
    make_page(late), make_page(few)


def test_only_the_newest_windows_of_the_version_that_answered_last_count(where, classifier, tmp_path):
    old, new = (classifier.predict_batch(draw(600, seed=seed)[0]) for seed in (8, 9))
    for days, answers in ((3, old), (2, new), (1, new), (0, new)):
        log(tmp_path, answers, classifier, ended=NOON - timedelta(days=days))
    comparison = found(where, tmp_path)
    assert comparison.images == 1200 and len(comparison.windows) == 2
    assert found(where, tmp_path, model="colours@1").images == 1200
    assert found(where, tmp_path, model="colours@7").verdict == QUIET


def test_the_command_prints_it_writes_a_page_and_exits_by_the_verdict(where, classifier, tmp_path, capsys):
    log(tmp_path / "log", classifier.predict_batch(draw(500, seed=7, shift=(60, 0, 0))[0]), classifier,
        ended=windows.datetime.now(windows.UTC))
    with pytest.raises(SystemExit) as ended:
        cli.main(["watch", "colours", str(tmp_path / "log"), "--registry", str(where / "registry"), "--page",
                  str(tmp_path / "page.html")])
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert said.startswith("colours@1: drifted\n500 images in 1 window, ")
    assert re.search(r"^accuracy to expect: \S+% \(\S+% to \S+%\), in test ", said, re.M)
    assert "colours@1 in use" in (tmp_path / "page.html").read_text()
    with pytest.raises(SystemExit) as ended:
        cli.main(["watch", "colours", str(tmp_path), "--registry", str(where / "registry"), "--page", str(tmp_path)])
    assert ended.value.code == 2 and "cannot be written: Is a directory" in capsys.readouterr().err
