"""The web page in a real browser: a picture is dropped, the answer is read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from live_server import live_server
from PIL import Image
from tiny_bundle import make_bundle, make_images

from benchmarks import browser
from graft.model.bundle import read_description, write_description
from graft.model.classifier import Classifier

pytestmark = pytest.mark.skipif(browser.executable() is None, reason="Chromium is not installed")
SCREENSHOTS = os.environ.get("GRAFT_SCREENSHOTS")       # a folder, to look at them


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = make_images(tmp_path_factory.mktemp("images"), images=1, spread=5)
    Image.new("RGB", (400, 300), (255, 0, 255)).save(folder / "strange.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def url(bundle):
    with live_server(bundle) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def tab():
    with browser.tab() as opened:
        yield opened


def read_cards(tab) -> list[dict]:
    return tab.run("""[...document.querySelectorAll('article')].map((card) => ({
        said: card.querySelector('h2').textContent, text: card.textContent,
        shares: Object.fromEntries([...card.querySelectorAll('.row')].map((row) =>
            [row.firstChild.textContent, row.lastChild.textContent])),
        widths: [...card.querySelectorAll('.bar')].map((bar) => bar.offsetWidth / bar.parentNode.offsetWidth),
        pictures: [...card.querySelectorAll('img')].map((image) => image.naturalWidth),
    }))""")


def keep(tab, name: str) -> None:
    if SCREENSHOTS:
        tab.screenshot(Path(SCREENSHOTS, name))


@pytest.mark.parametrize("name, width_px, height_px, is_phone", [
    ("desktop", 1200, 800, False), ("phone", 375, 700, True),
])
def test_a_dropped_picture_is_answered(tab, url, bundle, images, name, width_px, height_px, is_phone):
    tab.open(url, width_px, height_px, is_phone)
    tab.wait_for("document.querySelector('#model').textContent.includes('red')")
    assert tab.run("document.querySelector('#use').textContent.endsWith('and are not stored.')")
    tab.drop_files("#drop", [images / "red" / "00.png"])
    tab.wait_for("document.querySelectorAll('article .bar').length === 3")
    (card,) = read_cards(tab)
    expected = Classifier(bundle).predict(images / "red" / "00.png").probabilities
    assert card["said"] == "red" and card["pictures"] == [32]
    assert card["shares"] == {label: f"{100 * share:.1f}%" for label, share in expected.items()}
    assert card["widths"] == pytest.approx(list(expected.values()), abs=0.02)
    tab.choose_files("#file", [images / "strange.png", images / "broken.jpg"])
    tab.wait_for("document.querySelector('article .bad') && document.querySelectorAll('.bar').length === 6")
    broken, strange, _ = read_cards(tab)
    assert broken["said"] == "Cannot be read" and "not an image" in broken["text"]
    assert strange["said"] == "Unknown" and "Its best guesses:" in strange["text"] and len(strange["shares"]) == 3
    keep(tab, f"{name}.png")
    assert tab.run("document.documentElement.scrollWidth <= window.innerWidth"), "the page is wider than the screen"
    foreign = [each for each in tab.requests if not each.startswith((url, "data:", f"blob:{url}"))]
    assert foreign == []
    assert len(tab.complaints) == 1 and "422" in tab.complaints[0]      # the broken image's


def test_an_unsure_answer_says_so(tab, images, tmp_path):
    folder = make_bundle(tmp_path / "unsure")
    write_description(folder, replace(read_description(folder), unsure_up_to=1.0))
    with live_server(folder) as client:
        tab.open(str(client.base_url), 375, 700, True)
        tab.choose_files("#file", [images / "red" / "00.png"])
        tab.wait_for("document.querySelectorAll('article .bar').length === 3")
        (card,) = read_cards(tab)
    assert card["said"] == "Unsure: red" and "let a person decide" in card["text"]
    keep(tab, "unsure.png")


def test_a_picture_shows_on_demand_what_its_answer_rests_on(tab, url, images):
    tab.open(url, 375, 700, True)
    tab.choose_files("#file", [images / "red" / "00.png"])
    tab.wait_for("document.querySelector('article .why')")
    tab.run("document.querySelector('article .why').click()")
    tab.wait_for("document.querySelector('article canvas')")
    assert tab.run("document.querySelector('article canvas').width") == 32
    keep(tab, "why.png")


def test_class_names_are_text_and_never_markup(tab, images, tmp_path):
    names = ("<img src=x onerror=alert(1)>", "green", "a_very_long_name_without_any_blank_in_it_" * 4)
    import json

    folder = make_bundle(tmp_path / "odd")
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"class_names": list(names)}))
    with live_server(folder) as client:
        tab.open(str(client.base_url), 375, 700, True)
        tab.choose_files("#file", [images / "red" / "00.png"])
        tab.wait_for("document.querySelectorAll('article .bar').length === 3")
        (card,) = read_cards(tab)
    assert set(card["shares"]) == set(names)
    assert tab.run("document.querySelectorAll('article img').length") == 1
    assert tab.run("document.documentElement.scrollWidth <= window.innerWidth")
    keep(tab, "long-names.png")


def test_the_api_page_works_without_the_internet(tab, url):
    tab.open(f"{url}/docs", 1200, 800)
    tab.wait_for("document.querySelectorAll('.opblock').length >= 5")
    assert [each for each in tab.requests if not each.startswith((url, "data:"))] == []
    keep(tab, "docs.png")


def test_when_the_server_is_gone_the_page_says_so(tab, bundle, images):
    with live_server(bundle) as client:
        tab.open(str(client.base_url), 375, 700, True)
        tab.wait_for("document.querySelector('#model').textContent.includes('red')")
    tab.choose_files("#file", [images / "red" / "00.png"])
    tab.wait_for("document.querySelector('article .bad')")
    assert "cannot be reached" in read_cards(tab)[0]["text"]
