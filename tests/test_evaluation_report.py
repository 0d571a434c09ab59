import base64
import html
import io
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from populations import answers
from tiny_bundle import COLOURS, make_bundle, make_images

from graft.model import bundle, heatmaps
from graft.model.classifier import Classifier
from pipeline import pages
from pipeline.evaluation import metrics, pictures, predictions, report, suspects

NASTY = "<b>\"o'&amp;</script>"


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, text, and the JSON block."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.json, self._in_json = [], [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._in_json = ("type", "application/json") in attributes

    def handle_endtag(self, tag):
        self._in_json = False

    def handle_data(self, data):
        if self._in_json:
            self.json += data
        self.text.append(data)

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def make_sources(folder, images=20, names=tuple(COLOURS), findings=None) -> report.Sources:
    make_bundle(folder / "bundle", sharpness=12)
    make_images(folder / "images", images=images, spread=90)
    description = json.loads((folder / "bundle" / bundle.DESCRIPTION).read_text())
    renamed = dict(zip(sorted(COLOURS), names))
    description["class_names"] = [renamed[name] for name in description["class_names"]]
    (folder / "bundle" / bundle.DESCRIPTION).write_text(json.dumps(description))
    classifier = Classifier(folder / "bundle")
    paths = sorted((folder / "images").glob("*/*.png"))
    table = pd.DataFrame({"path": [path.relative_to(folder / "images").as_posix() for path in paths],
                          "label": [renamed[path.parent.name] for path in paths], "split": "test"})
    answers = predictions.to_answers(predictions.predict_table(classifier, table, folder / "images"))
    overall, classes = metrics.measure(answers, 1.0, 0.95, 200, 1)
    (folder / "plots").mkdir()
    return report.Sources(
        model="colours", classifier=classifier, answers=answers, images=folder / "images", metrics=overall,
        classes=classes, splits=table, plots=folder / "plots", findings=findings,
        stages={"transfer": {"val_loss": 0.25, "head": {"units": 8}}}, confidence=0.95,
        verdict={"May it be used?": "Yes."}, suspects=suspects.label_suspects(answers),
    )


def make_many(folder, classes=1000, images=5000) -> report.Sources:
    """A report on a thousand classes, of which every fifth answer is wrong; a few pictures stand for all images."""
    rng = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    for number in range(20):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((320, 240))
        noisy = np.asarray(coarse, dtype=float) + rng.normal(0, 25, (240, 320, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number}.png")
    probabilities = rng.dirichlet(np.full(classes, 0.02), images)
    labels = np.where(rng.random(images) < 0.8, probabilities.argmax(axis=1), rng.integers(0, classes, images))
    given = replace(answers(probabilities, labels), paths=np.array([f"{n % 20}.png" for n in range(images)]))
    overall, table = metrics.measure(given, 1.0, 0.95, 100, 1)
    splits = pd.DataFrame({"path": given.paths, "label": np.array(given.class_names)[labels], "split": "test"})
    (folder / "plots").mkdir()
    classifier = Classifier(make_bundle(folder / "bundle"))
    return report.Sources(model="many", classifier=classifier, answers=given, images=folder / "images",
                          metrics=overall, classes=table, splits=splits, plots=folder / "plots", findings=None,
                          stages={}, confidence=0.95, verdict={}, suspects=suspects.label_suspects(given))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(sources):
    return Page(report.write_report(sources))


def test_nothing_in_the_page_can_reach_the_network(page):
    addresses = page.attributes("src") + page.attributes("href") + page.attributes("action")
    assert addresses and all(address.startswith(("data:image/", "#")) for address in addresses)
    policy, = (attributes["content"] for _, attributes in page.tags
               if attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", "".join(page.text))


def test_every_cell_opens_exactly_the_images_behind_it(page, sources):
    known, answers = json.loads(page.json), sources.answers
    cells = [attributes for tag, attributes in page.tags if tag == "button" and "data-count" in attributes]
    seen = []
    for cell in cells:
        numbers = json.loads(cell["data-pictures"])
        assert len(numbers) == int(cell["data-count"])
        label, predicted = cell["data-title"].split(", predicted ")
        assert {(known[str(n)]["label"], known[str(n)]["predicted"]) for n in numbers} == {(label, predicted)}
        seen += numbers
    assert sorted(seen) == list(range(len(answers.labels))), "each test image is in one cell"


def test_the_most_frequent_confusions_come_first():
    counts = {(0, 0): 9, (0, 1): 1, (0, 2): 4, (1, 1): 8, (1, 2): 2, (2, 0): 4, (2, 2): 7}
    assert report._confusions(counts, 9) == [(0, 2), (2, 0), (1, 2), (0, 1)]
    assert report._confusions(counts, 2) == [(0, 2), (2, 0)]


def test_a_thousand_classes_make_a_page_that_opens(tmp_path):
    sources = make_many(tmp_path)
    text = report.write_report(sources)
    assert len(text.encode()) < 10_000_000
    page, given = Page(text), sources.answers
    cells = [attributes for tag, attributes in page.tags if tag == "button" and "data-count" in attributes]
    assert len(cells) > 50
    occurring = Counter(zip(given.labels, given.predicted))
    for cell in cells:
        label, predicted = (given.class_names.index(name) for name in cell["data-title"].split(", predicted "))
        assert label != predicted and int(cell["data-count"]) == occurring[label, predicted]
    lowest = sources.classes["recall"].nsmallest(report.WORST).max()
    worst = {cell["data-title"].split(",")[0] for cell in cells}
    below = sources.classes.loc[sources.classes["recall"] < lowest, "class"]
    assert len(below) > 5 and set(below) <= worst


@pytest.mark.parametrize(("name", "expected"), [
    ("dog", "dog"), ("a" * 22, "a" * 22), ("Labrador retriever, yellow, number 17", "Labrador re…number 17")])
def test_long_names_keep_both_ends(name, expected):
    assert pages.short(name) == expected


def test_pictures_are_what_they_are_called(page, sources):
    for number, picture in json.loads(page.json).items():
        assert picture["path"] == sources.answers.paths[int(number)]
        thumbnail = Image.open(io.BytesIO(base64.b64decode(picture["url"].split(",")[1])))
        original = Image.open(sources.images / picture["path"]).convert("RGB")
        assert max(thumbnail.size) <= pictures.SIDE_PX
        means = [np.asarray(each.convert("RGB"), dtype=float).mean(axis=(0, 1)) for each in (thumbnail, original)]
        np.testing.assert_allclose(*means, atol=6)


def test_figures_of_the_page_are_those_of_the_metrics(page, sources):
    text = " ".join(page.text)
    for value in sources.metrics["accuracy"]["value"], sources.metrics["balanced_accuracy"]["low"]:
        assert f"{100 * value:.1f}%" in text
    assert f"{sources.metrics['log_loss']['value']:.3g}" in text


def test_names_and_paths_that_look_like_html_stay_text(tmp_path):
    text = report.write_report(make_sources(tmp_path, images=4, names=(NASTY, "o'<i>", "{{ 7 * 7 }}")))
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("b>", "i")]
    assert NASTY in "".join(page.text) and "{{ 7 * 7 }}" in "".join(page.text)
    assert {picture["label"] for picture in json.loads(page.json).values()} == {NASTY, "o'<i>", "{{ 7 * 7 }}"}
    assert html.escape(NASTY, quote=False) in text.replace("&#34;", '"').replace("&#39;", "'")


def test_labels_that_somebody_decided_on_are_counted(sources):
    settled = "Left out: 3 whose label somebody has decided on."
    assert settled in report.write_report(replace(sources, settled=3)) and settled not in report.write_report(sources)


def test_findings_of_the_data_are_shown(tmp_path):
    findings = {"files": 9, "images": 7, "classes": {}, "unreadable": {"a": "empty"}, "stray": {}, "duplicates": [[]],
                "conflicts": [], "near_copies": [], "expectations": [
                    {"says": "all is well", "success": False, "stops_the_run": False, "observed": "3 of 9"}]}
    text = report.write_report(make_sources(tmp_path, images=4, findings=findings))
    assert "7 of 9 files could be read; other files, which were ignored: 0." in text
    assert "all is well" in text and "warning" in text


def test_the_report_is_the_same_each_time(sources):
    assert report.write_report(sources) == report.write_report(sources)


def test_heat_maps_that_threads_draw_meanwhile_are_those_of_the_model_in_their_order(sources):
    with report.heatmaps_meanwhile(sources.classifier, sources.answers, sources.images) as maps:
        page = Page(report.write_report(replace(sources, heatmaps=maps)))
    overlaid = []
    for index in pictures.examples(sources.answers, report.HEATMAPS):
        path = sources.images / sources.answers.paths[index]
        heat = heatmaps.occlusion(sources.classifier, sources.classifier.read(path))
        overlaid.append(pictures.data_url(heatmaps.overlay(pictures.thumbnail(path), heat)))
    assert len(overlaid) == report.HEATMAPS
    assert [image["src"] for tag, image in page.tags if tag == "img" and image.get("alt") == "heat map"] == overlaid
